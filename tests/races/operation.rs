//! Everything that two can do at the same moment.

use chrono::TimeDelta;
use guestlist::Error;

use crate::fixture::Scene;
use crate::support::OLIVIA;
use crate::transaction::Turn;

macro_rules! operations {
    ($($(#[$doc:meta])* $name:ident,)+) => {
        /// One transaction of a host, or of a worker.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Operation { $($(#[$doc])* $name,)+ }

        impl Operation {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)+];
        }
    };
}

operations! {
    OliviaInvitesFred,
    /// To a higher role than Olivia does.
    AdamInvitesFred,
    BobInvitesZoe,
    /// Whose invitation is overdue.
    OliviaInvitesDora,
    /// Who has an open invitation.
    OliviaSupersedesIvy,
    OliviaInvitesFredAndZoe,
    BobInvitesZoeAndFred,
    /// In one transaction of the host, one after the other.
    OliviaInvitesFredThenZoe,
    /// The same the other way round.
    BobInvitesZoeThenFred,
    OliviaResendsIvy,
    OliviaResendsDora,
    AdamRevokesIvy,
    IvyAccepts,
    IvyDeclines,
    OliviaShowsTheLink,
    OliviaInvitesIvyHigher,
    AdamInvitesIvyHigher,
    OliviaPromotesGus,
    /// To a role between.
    AdamPromotesGus,
    OliviaDemotesBob,
    BobDemotesOlivia,
    OliviaStepsDown,
    OliviaDemotesAdam,
    OliviaRemovesBob,
    BobRemovesOlivia,
    OliviaRemovesAdam,
    AdamRemovesGus,
    OliviaLeaves,
    BobLeaves,
    OliviaHandsOverToAdam,
    BobHandsOverToGus,
    OliviaSuspendsBob,
    BobSuspendsOlivia,
    OliviaSuspendsAdam,
    AdamSuspendsGus,
    BobReinstatesSue,
    BobIsForgotten,
    OliviaIsForgotten,
    AdamIsForgotten,
    /// Who is no member yet.
    IvyIsForgotten,
    /// To as many as there are members.
    TheHostSetsSeats,
    AdamRenames,
    BobRenames,
    BobDeletes,
    GusSignsIn,
    /// In one transaction of the host: the member is gone in the end.
    GusSignsInAndAdamIsRemoved,
    /// The same members the other way round.
    AdamSignsInAndGusIsRemoved,
    Expire,
    /// By the clock of a worker that is ahead of the host's.
    ExpireEarly,
    Remind,
    /// Ivy's mail server says that there is no Ivy.
    IvysLetterFails,
}

use Operation::*;

impl Operation {
    /// Those that contend for what is scarce.
    pub fn of(scene: Scene) -> Vec<Self> {
        let contends = |operation: &Self| match scene {
            Scene::Plenty => true,
            Scene::LastSeat => operation.takes_or_frees_a_seat(),
            Scene::LastLetter => operation.promises_a_letter(),
        };
        Self::ALL.iter().copied().filter(contends).collect()
    }

    /// Whether an invitee is written to.
    fn promises_a_letter(&self) -> bool {
        matches!(
            self,
            OliviaInvitesFred
                | AdamInvitesFred
                | BobInvitesZoe
                | OliviaInvitesDora
                | OliviaSupersedesIvy
                | OliviaInvitesFredAndZoe
                | BobInvitesZoeAndFred
                | OliviaInvitesFredThenZoe
                | BobInvitesZoeThenFred
                | OliviaResendsIvy
                | OliviaResendsDora
        )
    }

    fn takes_or_frees_a_seat(&self) -> bool {
        self.promises_a_letter()
            || matches!(
                self,
                AdamRevokesIvy
                    | IvyAccepts
                    | IvyDeclines
                    | BobReinstatesSue
                    | AdamSuspendsGus
                    | AdamRemovesGus
                    | BobLeaves
                    | IvyIsForgotten
                    | TheHostSetsSeats
                    | Expire
                    | ExpireEarly
            )
    }

    /// Whether it is a worker's sweep, which passes over rows that somebody holds and comes back.
    pub fn is_a_sweep(self) -> bool {
        matches!(self, Expire | ExpireEarly | Remind)
    }

    /// Whether a worker does it, which gives way to hosts.
    pub fn is_the_workers(self) -> bool {
        self.is_a_sweep() || self == IvysLetterFails
    }

    /// Does it in the transaction, and says what came of it.
    pub async fn run(self, mut turn: Turn<'_>) -> Result<String, Error> {
        match self {
            OliviaInvitesFred => turn.invite(OLIVIA, "fred", "agent").await,
            AdamInvitesFred => turn.invite("adam", "fred", "admin").await,
            BobInvitesZoe => turn.invite("bob", "zoe", "agent").await,
            OliviaInvitesDora => turn.invite(OLIVIA, "dora", "agent").await,
            OliviaSupersedesIvy => turn.supersede(OLIVIA, "ivy", "manager").await,
            OliviaInvitesFredAndZoe => turn.invite_all(OLIVIA, ["fred", "zoe"]).await,
            BobInvitesZoeAndFred => turn.invite_all("bob", ["zoe", "fred"]).await,
            OliviaInvitesFredThenZoe => {
                turn.invite(OLIVIA, "fred", "agent").await?;
                turn.invite(OLIVIA, "zoe", "agent").await
            }
            BobInvitesZoeThenFred => {
                turn.invite("bob", "zoe", "agent").await?;
                turn.invite("bob", "fred", "agent").await
            }
            OliviaResendsIvy => turn.resend(OLIVIA, "ivy").await,
            OliviaResendsDora => turn.resend(OLIVIA, "dora").await,
            AdamRevokesIvy => turn.revoke("adam", "ivy").await,
            IvyAccepts => turn.accept("ivy").await,
            IvyDeclines => turn.decline("ivy").await,
            OliviaShowsTheLink => turn.show_link(OLIVIA, "ivy").await,
            OliviaInvitesIvyHigher => turn.change_invitation_role(OLIVIA, "ivy", "admin").await,
            AdamInvitesIvyHigher => turn.change_invitation_role("adam", "ivy", "manager").await,
            OliviaPromotesGus => turn.change_role(OLIVIA, "gus", "admin").await,
            AdamPromotesGus => turn.change_role("adam", "gus", "manager").await,
            OliviaDemotesBob => turn.change_role(OLIVIA, "bob", "agent").await,
            BobDemotesOlivia => turn.change_role("bob", OLIVIA, "admin").await,
            OliviaStepsDown => turn.change_role(OLIVIA, OLIVIA, "agent").await,
            OliviaDemotesAdam => turn.change_role(OLIVIA, "adam", "agent").await,
            OliviaRemovesBob => turn.remove(OLIVIA, "bob").await,
            BobRemovesOlivia => turn.remove("bob", OLIVIA).await,
            OliviaRemovesAdam => turn.remove(OLIVIA, "adam").await,
            AdamRemovesGus => turn.remove("adam", "gus").await,
            OliviaLeaves => turn.leave(OLIVIA).await,
            BobLeaves => turn.leave("bob").await,
            OliviaHandsOverToAdam => turn.transfer_ownership(OLIVIA, "adam").await,
            BobHandsOverToGus => turn.transfer_ownership("bob", "gus").await,
            OliviaSuspendsBob => turn.suspend(OLIVIA, "bob").await,
            BobSuspendsOlivia => turn.suspend("bob", OLIVIA).await,
            OliviaSuspendsAdam => turn.suspend(OLIVIA, "adam").await,
            AdamSuspendsGus => turn.suspend("adam", "gus").await,
            BobReinstatesSue => turn.reinstate("bob", "sue").await,
            BobIsForgotten => turn.forget("bob").await,
            OliviaIsForgotten => turn.forget(OLIVIA).await,
            AdamIsForgotten => turn.forget("adam").await,
            IvyIsForgotten => turn.forget("ivy").await,
            TheHostSetsSeats => turn.set_seats(4).await,
            AdamRenames => turn.rename("adam", "Apex").await,
            BobRenames => turn.rename("bob", "Zenith").await,
            BobDeletes => turn.delete("bob").await,
            GusSignsIn => turn.sign_in("gus", "another session").await,
            GusSignsInAndAdamIsRemoved => {
                turn.sign_in("gus", "another session").await?;
                turn.remove(OLIVIA, "adam").await
            }
            AdamSignsInAndGusIsRemoved => {
                turn.sign_in("adam", "another session").await?;
                turn.remove("bob", "gus").await
            }
            Expire => turn.expire_at(TimeDelta::zero()).await,
            ExpireEarly => turn.expire_at(TimeDelta::days(6)).await,
            Remind => turn.remind_ahead(TimeDelta::days(6)).await,
            IvysLetterFails => turn.letter_fails("ivy").await,
        }
    }
}
