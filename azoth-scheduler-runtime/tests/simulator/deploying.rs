//! Old and new versions of a program side by side on one store.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use azoth_scheduler_runtime::testing::Simulator;
use azoth_scheduler_runtime::{
    ScheduleTaskRequest, Scheduler, TaskContext, TaskEvent, TaskHandler, TaskResult,
};

/// What ran: which version of the program, which task, under which type.
type Ran = Arc<Mutex<Vec<(&'static str, String, String)>>>;

/// A handler of one version of a program.
struct Version {
    version: &'static str,
    task_type: &'static str,
    aliases: &'static [&'static str],
    ran: Ran,
}

#[async_trait]
impl TaskHandler for Version {
    fn task_type(&self) -> &str {
        self.task_type
    }

    fn aliases(&self) -> &[&str] {
        self.aliases
    }

    async fn execute(&self, ctx: &TaskContext, _payload: &[u8]) -> TaskResult {
        let ran = (self.version, ctx.task_id().to_string(), ctx.task_type().to_string());
        self.ran.lock().unwrap().push(ran);
        Ok(TaskEvent::new("done", [])?)
    }
}

fn schedule(world: &Simulator, by: &Scheduler, id: &str, task_type: &str) {
    let request = ScheduleTaskRequest::builder(id).task_type(task_type).immediate().build().unwrap();
    world.block_on(by.schedule_task(request)).unwrap();
}

/// The old version knows `mail`; the new one calls it `send_email`, still takes `mail`, and knows `report` too. I13: each
/// runs only what it handles, whoever scheduled it.
#[test]
fn old_and_new_version_run_side_by_side_and_a_renamed_type_goes_on() {
    for seed in 0..5 {
        let (world, ran) = (Simulator::of_seed(seed), Ran::default());
        let handler =
            |version, task_type, aliases| Version { version, task_type, aliases, ran: Arc::clone(&ran) };
        let old = world.start(|builder| builder.with_task_handler(handler("old", "mail", &[]))).unwrap();
        let new = world.start(|builder| {
            builder.with_task_handler(handler("new", "send_email", &["mail"])).with_task_handler(handler(
                "new",
                "report",
                &[],
            ))
        });
        let (new, client) = (new.unwrap(), world.start(|builder| builder).unwrap());
        let tick = ScheduleTaskRequest::builder("tick").task_type("mail").interval(10).build().unwrap();
        world.block_on(old.schedule_task(tick)).unwrap();
        for number in 0..20 {
            let types = ["mail", "send_email", "report"];
            schedule(&world, &client, &format!("task-{number}"), types[number % 3]);
        }
        world.run_for(Duration::from_secs(25)).unwrap();
        assert_eq!(world.block_on(client.stats()).unwrap().store.unhandled, []);

        world.block_on(old.shutdown());
        schedule(&world, &client, "late", "mail");
        world.run_for(Duration::from_secs(10)).unwrap();
        let stats = world.block_on(new.stats()).unwrap();
        assert_eq!(stats.store.unhandled, [], "the new version handles the old name");
        let ran = ran.lock().unwrap().clone();
        let of = |version: &str, task_type: &str| {
            ran.iter().filter(|(by, _, of)| *by == version && of == task_type).count()
        };
        assert_eq!(of("old", "send_email") + of("old", "report"), 0, "the old version does not know these");
        assert_eq!((of("new", "send_email"), of("new", "report")), (7, 6));
        // Seven of the twenty, the late one, and one every ten seconds, under the name by which it was scheduled.
        assert_eq!(of("old", "mail") + of("new", "mail"), 7 + 1 + 3, "{ran:?}");
        let by_new = |id: &str| ran.contains(&("new", id.to_owned(), "mail".to_owned()));
        assert!(by_new("late") && by_new("tick"), "{ran:?}");
        assert!(world.ask(world.store().verify()).unwrap().is_sound());
    }
}
