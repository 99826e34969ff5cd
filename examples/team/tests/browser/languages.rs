//! Letters in each language, left to right and right to left.

use serde_json::json;

use crate::screen::{check_letter, check_page};
use crate::site::{FOUR_TIER, Site};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn letters_are_accessible_in_every_language() {
    for (lang, language, direction) in [
        ("en", "English", "ltr"),
        ("de", "Deutsch", "ltr"),
        ("ar", "العربية", "rtl"),
    ] {
        let site = Site::embedded(FOUR_TIER).await;
        let olivia = site.person("Olivia").await;
        site.organization("Acme", &olivia).await;
        let window = site.window_of(&olivia).await;
        let nour = site.address("nour");
        window.press("Settings: Team").await;
        window.write("E-mail addresses", &nour).await;
        window.choose("Language of the e-mail", language).await;
        window
            .write("Personal message (optional)", "See you on Monday")
            .await;
        window.press("Send the invitations").await;
        window.says(&format!("{nour}: Invited.")).await;
        site.letters.link_to(&nour, "Acme").await;

        window.open("/mailbox").await;
        window.says_after_reload(&nour).await;
        const ADDRESS: &str = "return document.querySelector('main li a').getAttribute('href')";
        let letter = window.execute(ADDRESS, vec![]).await;
        window.open(letter.as_str().unwrap()).await;
        const SUBJECT_AND_TEXT: &str = "
            const read = (element) => [element.lang, getComputedStyle(element).direction];
            return ['h1', '.plain'].map((part) => read(document.querySelector(part)));";
        let read = window.execute(SUBJECT_AND_TEXT, vec![]).await;
        assert_eq!(read, json!([[lang, direction], [lang, direction]]));
        check_page(&window, &format!("letter-in-{lang}")).await;

        // Opens the HTML part outside its sandboxed frame, where no script runs.
        const HTML: &str = "
            const done = arguments[arguments.length - 1];
            fetch(location.pathname + '/html').then((answer) => answer.text()).then(done);";
        let html = window.execute_async(HTML).await;
        window.open("about:blank").await;
        const SHOW: &str = "document.write(arguments[0]); document.close();";
        window.execute(SHOW, vec![html]).await;
        const READ: &str = "
            const direction = (part) => getComputedStyle(document.querySelector(part)).direction;
            const side = (part) => {
                const around = document.createRange();
                around.selectNodeContents(document.querySelector(part));
                const [text, card] = [around, document.querySelector('.card')].map((it) => it.getBoundingClientRect());
                return text.left - card.left < card.right - text.right ? 'left' : 'right';
            };
            const card = document.querySelector('.card').getBoundingClientRect();
            const isCentered = Math.abs(card.left - (document.documentElement.clientWidth - card.right)) < 2;
            return [document.documentElement.lang, isCentered, direction('h1'), side('h1'), side('.button'), direction('.link')];";
        let start = if direction == "ltr" { "left" } else { "right" };
        let read = window.execute(READ, vec![]).await;
        // The full link is a URL, so it is left to right in every language.
        assert_eq!(read, json!([lang, true, direction, start, start, "ltr"]));
        check_letter(&window, &format!("html-in-{lang}")).await;
    }
}
