//! A request of an address's owner, and the setting that its last line may be: one text each.
#![no_main]

use bq_pool_machine::{SettingChange, SettingWish, Webhook};
use bq_request::Request;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(webhook) = Webhook::new(text) {
        let place = webhook.place().expect("every webhook has parts");
        assert!(place.port > 0 && !place.host.is_empty() && place.path.starts_with('/'), "{place:?}");
        assert!(text.len() <= Webhook::BYTES_MAX);
    }
    let wish = match Request::read(text) {
        Ok(request) => {
            assert_eq!(request.to_string(), text, "one request, one text");
            request.wish
        }
        Err(_) => text.to_owned(),
    };
    let Ok(read) = wish.parse::<SettingWish>() else { return };
    assert_eq!(read.to_string(), wish, "one wish, one line");
    assert!(SettingWish::is_meant(&wish));
    if let SettingChange::Set(changes) = read.change {
        // What holds at once lowers nothing, whatever held before.
        let wishes = changes.of(&Default::default());
        let held = wishes.raised_to(&Default::default());
        assert!(held.minimum >= wishes.minimum && held.locked >= wishes.locked && held.webhook == wishes.webhook);
    }
});
