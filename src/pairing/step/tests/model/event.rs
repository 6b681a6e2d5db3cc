//! What can happen, and who makes it happen.

/// One thing that happens.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Event {
    /// Somebody approves what the list showed of this device.
    Approve(Person, u8),
    /// The owner approves the request that the device has now, with the digest that was listed before.
    ApproveByOldDigest(u8),
    /// The owner takes the invite back.
    CancelInvite,
    /// A device connects.
    Connect(u8, Asks, With),
    /// The process dies: what only it knew is gone.
    Crash,
    /// The same right after this became durable: nobody is told.
    CrashAfter(Done),
    /// A session is handed the token for what it was granted meanwhile.
    Deliver(u8),
    /// Somebody connects under the name of this device.
    Impostor(u8, Disguise),
    /// The owner makes an invite.
    Invite,
    /// Somebody reads the list.
    List,
    /// The owner makes a setup code.
    MintCode,
    Reject(Person, u8),
    Remove(Person, u8),
    /// A session asks for administration.
    RequestUpgrade(u8),
    Revoke(Person, u8),
    Rotate(Person, u8),
    /// The gateway's secret becomes another.
    RotateSecret,
    /// Requests whose time is over are swept.
    Sweep,
    /// Half the life of a request and of an invite goes by.
    Time,
}

/// What becomes durable before a death.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Done {
    /// The owner's approval of device 1.
    Approval,
    /// Its silent approval.
    Connect,
    /// Its redemption of the invite.
    Invite,
    /// The owner's removal of device 1.
    Removal,
    /// The owner's revocation of device 1.
    Revocation,
    /// The owner's rotation of the token of device 1.
    Rotation,
}

/// Who decides.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Person {
    /// The command line with the secret alone: reads and decides about devices, and holds nothing else.
    Clerk,
    /// The session that this device has, if it has one.
    Device(u8),
    /// The owner, at the admin socket.
    Owner,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Asks {
    Admin,
    Pairing,
    Read,
}

impl Asks {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Admin => "operator.admin",
            Self::Pairing => "operator.pairing",
            Self::Read => "operator.read",
        }
    }
}

/// With what.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum With {
    /// The setup code.
    Code,
    /// The last token that was taken from the device.
    DeadToken,
    /// The word of somebody we trust, for whom a rule approves reading.
    Identity,
    /// The invite that was made last.
    Invite,
    /// The one before it.
    OldInvite,
    /// The secret that the gateway had first; before it has another, a wrong one.
    OldSecret,
    /// The gateway's secret.
    Secret,
    /// The gateway's secret, at this machine.
    SecretHere,
    /// The last token that the device was given.
    Token,
}

/// How somebody tries to be another.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Disguise {
    /// Its id, beside a key of one's own, with the secret.
    Id,
    /// Its id and key, which one cannot sign for, with the secret.
    Key,
    /// Its token, under one's own name.
    Token,
}

/// All that can happen around device 1.
pub(super) fn one_device() -> Vec<Event> {
    let asks = [Asks::Read, Asks::Admin];
    let with = [With::Secret, With::SecretHere, With::Token, With::DeadToken, With::OldSecret, With::Identity];
    let connects = asks.into_iter().flat_map(|asks| with.map(|with| Event::Connect(1, asks, with)));
    let deaths = [Done::Approval, Done::Connect, Done::Invite, Done::Removal, Done::Revocation, Done::Rotation];
    connects.chain(deaths.map(Event::CrashAfter)).chain(around_one()).collect()
}

fn around_one() -> [Event; 27] {
    [
        Event::Approve(Person::Clerk, 1),
        Event::Approve(Person::Device(1), 1),
        Event::Approve(Person::Owner, 1),
        Event::ApproveByOldDigest(1),
        Event::CancelInvite,
        Event::Connect(1, Asks::Admin, With::Invite),
        Event::Connect(1, Asks::Read, With::Code),
        Event::Connect(1, Asks::Read, With::OldInvite),
        Event::Crash,
        Event::Deliver(1),
        Event::Impostor(1, Disguise::Id),
        Event::Impostor(1, Disguise::Key),
        Event::Impostor(1, Disguise::Token),
        Event::Invite,
        Event::List,
        Event::MintCode,
        Event::Reject(Person::Owner, 1),
        Event::Remove(Person::Device(1), 1),
        Event::Remove(Person::Owner, 1),
        Event::RequestUpgrade(1),
        Event::Revoke(Person::Device(1), 1),
        Event::Revoke(Person::Owner, 1),
        Event::Rotate(Person::Device(1), 1),
        Event::Rotate(Person::Owner, 1),
        Event::RotateSecret,
        Event::Sweep,
        Event::Time,
    ]
}

/// The same with a second device, which may hold `operator.pairing` or everything, and decides too.
pub(super) fn household() -> Vec<Event> {
    let second = [
        Event::Approve(Person::Clerk, 2),
        Event::Approve(Person::Device(2), 1),
        Event::Approve(Person::Device(2), 2),
        Event::Approve(Person::Owner, 2),
        Event::Connect(2, Asks::Admin, With::Secret),
        Event::Connect(2, Asks::Pairing, With::Secret),
        Event::Connect(2, Asks::Pairing, With::SecretHere),
        Event::Connect(2, Asks::Pairing, With::Token),
        Event::Connect(2, Asks::Read, With::Code),
        Event::Connect(2, Asks::Read, With::Identity),
        Event::Connect(2, Asks::Read, With::Invite),
        Event::Reject(Person::Device(2), 1),
        Event::Remove(Person::Device(2), 1),
        Event::Revoke(Person::Device(2), 1),
        Event::Revoke(Person::Owner, 2),
        Event::Rotate(Person::Device(2), 1),
    ];
    second.into_iter().chain(one_device()).collect()
}

/// Where a search begins: with nothing, and further on, where the interesting states lie.
pub(super) fn beginnings() -> Vec<Vec<Event>> {
    let waits = Event::Connect(1, Asks::Read, With::Secret);
    let paired = vec![waits, Event::List, Event::Approve(Person::Owner, 1), waits];
    let taken_back = [Event::Revoke(Person::Owner, 1), waits, Event::List];
    let with_a_second = vec![
        Event::Connect(2, Asks::Pairing, With::SecretHere),
        Event::Connect(1, Asks::Admin, With::Secret),
        Event::List,
    ];
    let by_code = vec![Event::MintCode, Event::Connect(1, Asks::Read, With::Code), Event::RotateSecret];
    let by_rule = vec![Event::Connect(1, Asks::Read, With::Identity), Event::Remove(Person::Owner, 1)];
    let by_invite = vec![Event::Invite, Event::Connect(1, Asks::Admin, With::Invite)];
    let half_over = vec![Event::Invite, Event::Time];
    let taken_back = paired.iter().copied().chain(taken_back).collect();
    vec![Vec::new(), paired, taken_back, with_a_second, by_code, by_rule, by_invite, half_over]
}
