use azoth_scheduler::{BlockingTaskHandler, task_handler};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
struct V1 {
    to: String,
}

#[derive(Deserialize)]
struct V2 {
    to: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct V3 {
    to: Vec<String>,
    urgent: bool,
}

impl From<V1> for V2 {
    fn from(V1 { to }: V1) -> Self {
        Self { to: vec![to] }
    }
}

fn with_urgency(V2 { to }: V2) -> Result<V3, String> {
    if to.is_empty() { Err("nobody".into()) } else { Ok(V3 { to, urgent: false }) }
}

#[task_handler(version = 2, upgrade = |n: u8| u64::from(n))]
fn closure(n: u64) {
    let _ = n;
}

#[task_handler(version = 3, upgrade = [<V2 as From<V1>>::from, with_urgency])]
fn chain(mail: V3) -> usize {
    mail.to.len() + usize::from(mail.urgent)
}

#[task_handler(version = 3, upgrade = with_urgency)]
async fn from_version_2_on(mail: V3) {
    let _ = mail;
}

#[task_handler(version = 2, upgrade = [])]
fn nothing_earlier(mail: V3) {
    let _ = mail;
}

#[task_handler(version = 1)]
fn first(mail: V3) {
    let _ = mail;
}

fn main() {
    let mail = V3 { to: vec!["ada".into()], urgent: true };
    let request = Chain::request("id", &mail).unwrap().immediate().build().unwrap();
    assert_eq!(request.payload(), br#"v3:{"to":["ada"],"urgent":true}"#);
    assert!(Chain.validate(br#"{"to":"ada"}"#).is_ok());
    assert!(NothingEarlier.validate(br#"{"to":[],"urgent":true}"#).is_err());
    assert!(First.validate(br#"{"to":[],"urgent":true}"#).is_ok());
    assert!(Closure.validate(b"7").is_ok());
    let _ = FromVersion2On::TASK_TYPE;
}
