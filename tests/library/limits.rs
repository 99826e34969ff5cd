use std::time::Duration;

use chrono::TimeDelta;
use guestlist::{Error, Limit, LimitKind, Limits};

use crate::on_both_databases;
use crate::support::{OLIVIA, Team, member};

const HOUR: Duration = Duration::from_secs(3600);

fn two_an_hour() -> Limit {
    Limit::new(2, HOUR)
}

fn limited(team: &Team, limits: Limits) -> Team {
    team.configured(|builder| builder.limits(limits))
}

on_both_databases! {
    async fn an_actor_is_throttled_over_a_sliding_window(team: Team) {
        let team = limited(&team, Limits::none().actor(two_an_hour()));
        team.invite(OLIVIA, "a@example.com", "agent").await.unwrap();
        team.advance_clock(TimeDelta::minutes(30));
        team.invite(OLIVIA, "b@example.com", "agent").await.unwrap();
        let refused = team.invite(OLIVIA, "c@example.com", "agent").await;
        let Err(Error::Throttled { limit: LimitKind::Actor, retry_after }) = refused else { panic!("{refused:?}") };
        assert_eq!(team.messages().await.len(), 2, "nothing was written");
        team.advance_clock(TimeDelta::from_std(retry_after).unwrap());
        team.invite(OLIVIA, "c@example.com", "agent").await.expect("the first letter left the window");
        assert!(team.invite(OLIVIA, "d@example.com", "agent").await.is_err(), "the second did not");
    }

    async fn invite_and_revoke_loop_does_not_evade_the_limit(team: Team) {
        let team = limited(&team, Limits::none().recipient(two_an_hour()));
        for _ in 0..2 {
            let invitation = team.invite(OLIVIA, "victim@example.com", "agent").await.unwrap();
            team.revoke(OLIVIA, invitation.id).await.unwrap();
        }
        for spelling in ["victim@example.com", "vic.tim@example.com", "victim+1@example.com"] {
            let refused = team.invite(OLIVIA, spelling, "agent").await;
            assert!(matches!(refused, Err(Error::Throttled { limit: LimitKind::Recipient, .. })), "{refused:?}");
        }
    }

    async fn recipient_limit_counts_all_organizations(team: Team) {
        let limits = Limits::none().recipient(two_an_hour());
        for number in 0..3 {
            let team = limited(&Team::on(team.database.clone()).await, limits.clone());
            let outcome = team.invite(OLIVIA, "victim@example.com", "agent").await;
            assert_eq!(outcome.is_ok(), number < 2, "{outcome:?}");
        }
    }

    async fn an_organization_is_throttled_and_resends_count(team: Team) {
        let team = limited(&team, Limits::none().organization(two_an_hour()));
        let invitation = team.invite(OLIVIA, "a@example.com", "agent").await.unwrap();
        team.resend(OLIVIA, invitation.id).await.unwrap();
        let refused = team.resend(OLIVIA, invitation.id).await;
        assert!(matches!(refused, Err(Error::Throttled { limit: LimitKind::Organization, .. })), "{refused:?}");
        let none = limited(&team, Limits::none());
        none.resend(OLIVIA, invitation.id).await.expect("none switches off every throttle");
    }

    async fn default_limits_allow_a_thousand_invites_and_stop_a_flood(team: Team) {
        let team = limited(&team, Limits::default());
        let invites = (0..1001).map(|number| team.invitation_of(&format!("p{number}@example.com"), "agent")).collect();
        let outcomes = team
            .in_transaction(async |tx| team.guestlist.act(member(OLIVIA)).in_organization(team.organization.id).invite_all(tx, invites).await)
            .await
            .unwrap();
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1000);
    }
}
