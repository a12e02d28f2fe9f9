//! Scheduling: one caller, many callers, batches.

use anyhow::Result;

use crate::house::House;
use crate::meter::{Cost, measure};
use crate::raw::Raw;
use crate::report::{Goal, Goals};
use crate::run::Run;

/// One caller, one task at a time, against one commit for each.
pub(crate) fn one_by_one(run: &mut Run) -> Result<()> {
    let tasks = run.size(300);
    let house = House::new()?;
    let client = house.client()?;
    let templates = run.templates()?;
    let mut raw = Raw::new(&templates, house.folder())?;
    let (ours, limit) = run.pairs(
        || {
            let requests = house.immediate(tasks)?;
            let (_, cost) = measure(|| {
                house.block_on(async {
                    for request in requests {
                        client.schedule_task(request).await?;
                    }
                    anyhow::Ok(())
                })
            })?;
            Ok(cost)
        },
        || Ok(measure(|| raw.schedule(tasks, 1))?.1),
    )?;
    run.report.pair("enqueue, one caller", tasks, &ours, &limit, Goals::rate(0.8));
    Ok(())
}

/// A thousand tasks in each call, against a thousand in each commit.
pub(crate) fn in_batches(run: &mut Run) -> Result<()> {
    let tasks = run.size(10_000);
    let house = House::new()?;
    let client = house.client()?;
    let templates = run.templates()?;
    let mut raw = Raw::new(&templates, house.folder())?;
    let (ours, limit) = run.pairs(
        || {
            let mut requests = house.immediate(tasks)?;
            let (_, cost) = measure(|| {
                house.block_on(async {
                    while !requests.is_empty() {
                        let rest = requests.split_off(requests.len().min(1_000));
                        for outcome in client.schedule_tasks(std::mem::replace(&mut requests, rest)).await? {
                            outcome?;
                        }
                    }
                    anyhow::Ok(())
                })
            })?;
            Ok(cost)
        },
        || Ok(measure(|| raw.schedule(tasks, 1_000))?.1),
    )?;
    run.report.pair("enqueue, batches of 1000", tasks, &ours, &limit, Goals::rate(0.8));
    Ok(())
}

/// 64 callers at once, against one.
pub(crate) fn by_many(run: &mut Run) -> Result<()> {
    const CALLERS: usize = 64;
    let tasks = run.size(300);
    let house = House::new()?;
    let client = house.client()?;
    let one = |tasks: usize| -> Result<Cost> {
        let requests = house.immediate(tasks)?;
        let schedule = async {
            for request in requests {
                client.schedule_task(request).await?;
            }
            anyhow::Ok(())
        };
        Ok(measure(|| house.block_on(schedule))?.1)
    };
    let many = || -> Result<Cost> {
        let mut shares = Vec::new();
        for _ in 0..CALLERS {
            shares.push(house.immediate(tasks / 4)?);
        }
        let schedule = async {
            let mut callers = tokio::task::JoinSet::new();
            for share in shares {
                let client = client.clone();
                callers.spawn(async move {
                    for request in share {
                        client.schedule_task(request).await?;
                    }
                    anyhow::Ok(())
                });
            }
            while let Some(joined) = callers.join_next().await {
                joined??;
            }
            anyhow::Ok(())
        };
        Ok(measure(|| house.block_on(schedule))?.1)
    };
    let (many, one) = run.pairs(many, || one(tasks))?;
    let all = (tasks / 4 * CALLERS) as f64;
    let (case, tasks) = ("enqueue, 64 callers", tasks as f64);
    run.report.add(case, "64 callers", "/s", many.iter().map(|cost| all / cost.wall), None);
    run.report.add(case, "one caller", "/s", one.iter().map(|cost| tasks / cost.wall), None);
    let ratios = many.iter().zip(&one).map(|(many, one)| (all / many.wall) / (tasks / one.wall));
    run.report.add(case, "rate, of one caller", "x", ratios, Some(Goal::AtLeast(8.0)));
    run.report.add(case, "processor, 64 callers", "us", many.iter().map(|cost| cost.cpu * 1e6 / all), None);
    Ok(())
}
