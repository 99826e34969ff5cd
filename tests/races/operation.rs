//! The operations that are raced against each other.

use chrono::TimeDelta;
use guestlist::Error;

use crate::fixture::Scarcity;
use crate::support::OLIVIA;
use crate::transaction::OpenTransaction;

macro_rules! operations {
    ($($(#[$doc:meta])* $name:ident,)+) => {
        /// One transaction of a host or of a worker.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Operation { $($(#[$doc])* $name,)+ }

        impl Operation {
            /// All operations.
            pub const ALL: &[Self] = &[$(Self::$name,)+];
        }
    };
}

operations! {
    OliviaInvitesFred,
    /// Invites to a higher role than Olivia does.
    AdamInvitesFred,
    BobInvitesZoe,
    /// Dora's invitation is overdue.
    OliviaInvitesDora,
    /// Ivy has an open invitation.
    OliviaSupersedesIvy,
    OliviaInvitesFredAndZoe,
    BobInvitesZoeAndFred,
    /// Invites both in one transaction of the host, one after the other.
    OliviaInvitesFredThenZoe,
    /// The same in the opposite order.
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
    /// Promotes to a role between agent and admin.
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
    /// Ivy is not a member yet.
    IvyIsForgotten,
    /// Sets as many seats as there are members.
    TheHostSetsSeats,
    AdamRenames,
    BobRenames,
    BobDeletes,
    GusSignsIn,
    /// Does both in one transaction of the host; Adam is no longer a member afterwards.
    GusSignsInAndAdamIsRemoved,
    /// Does the same with the members exchanged.
    AdamSignsInAndGusIsRemoved,
    Expire,
    /// Uses the clock of a worker that is ahead of the host's clock.
    ExpireEarly,
    Remind,
    /// Ivy's mail server reports that the mailbox does not exist.
    IvysLetterFails,
}

use Operation::*;

impl Operation {
    /// The operations that compete for the scarce resource.
    pub fn of(scarcity: Scarcity) -> Vec<Self> {
        let contends = |operation: &Self| match scarcity {
            Scarcity::Nothing => true,
            Scarcity::LastSeat => operation.affects_seats(),
            Scarcity::LastLetter => operation.sends_letter(),
        };
        Self::ALL.iter().copied().filter(contends).collect()
    }

    /// The operation sends a letter to an invitee.
    fn sends_letter(&self) -> bool {
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

    fn affects_seats(&self) -> bool {
        self.sends_letter()
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

    /// The operation is a worker's sweep, which skips locked rows and handles them later.
    pub fn is_sweep(self) -> bool {
        matches!(self, Expire | ExpireEarly | Remind)
    }

    /// The operation belongs to a worker, which gives way to hosts.
    pub fn is_by_worker(self) -> bool {
        self.is_sweep() || self == IvysLetterFails
    }

    /// Performs the operation in the transaction and describes the result.
    pub async fn run(self, mut tx: OpenTransaction<'_>) -> Result<String, Error> {
        match self {
            OliviaInvitesFred => tx.invite(OLIVIA, "fred", "agent").await,
            AdamInvitesFred => tx.invite("adam", "fred", "admin").await,
            BobInvitesZoe => tx.invite("bob", "zoe", "agent").await,
            OliviaInvitesDora => tx.invite(OLIVIA, "dora", "agent").await,
            OliviaSupersedesIvy => tx.supersede(OLIVIA, "ivy", "manager").await,
            OliviaInvitesFredAndZoe => tx.invite_all(OLIVIA, ["fred", "zoe"]).await,
            BobInvitesZoeAndFred => tx.invite_all("bob", ["zoe", "fred"]).await,
            OliviaInvitesFredThenZoe => {
                tx.invite(OLIVIA, "fred", "agent").await?;
                tx.invite(OLIVIA, "zoe", "agent").await
            }
            BobInvitesZoeThenFred => {
                tx.invite("bob", "zoe", "agent").await?;
                tx.invite("bob", "fred", "agent").await
            }
            OliviaResendsIvy => tx.resend(OLIVIA, "ivy").await,
            OliviaResendsDora => tx.resend(OLIVIA, "dora").await,
            AdamRevokesIvy => tx.revoke("adam", "ivy").await,
            IvyAccepts => tx.accept("ivy").await,
            IvyDeclines => tx.decline("ivy").await,
            OliviaShowsTheLink => tx.show_link(OLIVIA, "ivy").await,
            OliviaInvitesIvyHigher => tx.change_invitation_role(OLIVIA, "ivy", "admin").await,
            AdamInvitesIvyHigher => tx.change_invitation_role("adam", "ivy", "manager").await,
            OliviaPromotesGus => tx.change_role(OLIVIA, "gus", "admin").await,
            AdamPromotesGus => tx.change_role("adam", "gus", "manager").await,
            OliviaDemotesBob => tx.change_role(OLIVIA, "bob", "agent").await,
            BobDemotesOlivia => tx.change_role("bob", OLIVIA, "admin").await,
            OliviaStepsDown => tx.change_role(OLIVIA, OLIVIA, "agent").await,
            OliviaDemotesAdam => tx.change_role(OLIVIA, "adam", "agent").await,
            OliviaRemovesBob => tx.remove(OLIVIA, "bob").await,
            BobRemovesOlivia => tx.remove("bob", OLIVIA).await,
            OliviaRemovesAdam => tx.remove(OLIVIA, "adam").await,
            AdamRemovesGus => tx.remove("adam", "gus").await,
            OliviaLeaves => tx.leave(OLIVIA).await,
            BobLeaves => tx.leave("bob").await,
            OliviaHandsOverToAdam => tx.transfer_ownership(OLIVIA, "adam").await,
            BobHandsOverToGus => tx.transfer_ownership("bob", "gus").await,
            OliviaSuspendsBob => tx.suspend(OLIVIA, "bob").await,
            BobSuspendsOlivia => tx.suspend("bob", OLIVIA).await,
            OliviaSuspendsAdam => tx.suspend(OLIVIA, "adam").await,
            AdamSuspendsGus => tx.suspend("adam", "gus").await,
            BobReinstatesSue => tx.reinstate("bob", "sue").await,
            BobIsForgotten => tx.forget("bob").await,
            OliviaIsForgotten => tx.forget(OLIVIA).await,
            AdamIsForgotten => tx.forget("adam").await,
            IvyIsForgotten => tx.forget("ivy").await,
            TheHostSetsSeats => tx.set_seats(4).await,
            AdamRenames => tx.rename("adam", "Apex").await,
            BobRenames => tx.rename("bob", "Zenith").await,
            BobDeletes => tx.delete("bob").await,
            GusSignsIn => tx.sign_in("gus", "another session").await,
            GusSignsInAndAdamIsRemoved => {
                tx.sign_in("gus", "another session").await?;
                tx.remove(OLIVIA, "adam").await
            }
            AdamSignsInAndGusIsRemoved => {
                tx.sign_in("adam", "another session").await?;
                tx.remove("bob", "gus").await
            }
            Expire => tx.expire_at(TimeDelta::zero()).await,
            ExpireEarly => tx.expire_at(TimeDelta::days(6)).await,
            Remind => tx.remind_ahead(TimeDelta::days(6)).await,
            IvysLetterFails => tx.letter_fails("ivy").await,
        }
    }
}
