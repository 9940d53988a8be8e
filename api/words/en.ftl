# What the pages say in English. Plain words: what happened, and what to do.

## Around every page
skip-to-content = Skip to the content
pages = Pages
sign-out = Sign out
continue = Continue
cancel = Cancel
go-back = Back to where you came from
to-account = Go to your account
to-sign-in = Go to sign in
there-is-a-problem = There is a problem
request-id = If you ask for help, name this request: { $id }

## How long
seconds = { $count ->
    [one] { $count } second
   *[other] { $count } seconds
}
minutes = { $count ->
    [one] { $count } minute
   *[other] { $count } minutes
}
hours = { $count ->
    [one] { $count } hour
   *[other] { $count } hours
}

## Signing in
sign-in-title = Sign in to { $service }
email = E-mail address
password = Password
sign-in = Sign in
code-title = Enter the code from your app
code-text = Open your authenticator app and type the six digits that it shows.
code = Six-digit code
code-hint = It changes every 30 seconds.
another-way = Try another way
another-way-text = If you do not have your phone or tablet at hand, use the emergency code that you stored when you turned on two-factor.
another-way-lost = If you have lost that too, ask whoever runs this service. They can let you set up two-factor anew.
use-emergency-code = Use your emergency code
codes-locked-title = Codes are locked for now
codes-locked-for = Too many wrong codes were given, so codes from the app are not accepted for the next { $wait }. Your emergency code works meanwhile.
codes-disabled-title = Your app is not accepted any more
codes-disabled-text = Too many wrong codes were given. Sign in with your emergency code, then set the app up anew.
sign-in-time = Finish within five minutes of giving your password. After that you start again; nothing is lost.
emergency-title = Enter your emergency code
emergency-text = It has twenty letters and digits. It works once; you get a new one right after.
emergency-code = Emergency code
emergency-hint = For example ABCD-EFGH-JKMN-PQRS-TVWX. Capitals and dashes do not matter.
back-to-code = Back to the code from your app

## What can be wrong
wrong-credentials = The e-mail address or the password is not right. Check both and try again.
throttled = Too many wrong passwords. Wait { $wait }, then try again.
locked = Too many wrong codes. Wait { $wait }, or use your emergency code.
wrong-code = That code is not right. Check it, or wait for the next one in your app.
code-already-used = That code has been used already. Wait for the next one in your app.
wrong-confirmation-code = That is not the code that the app shows. Check that the app has the right time, and try the next one.
pass-required = Your two-factor was reset. Type the pass that you were given for setting it up anew.
step-up-required = Show that it is you: give your password, and the code once two-factor is on.
field-email = Type an e-mail address, such as kari@example.com.
field-code = Type the six digits that your app shows.
field-emergency-code = An emergency code has twenty letters and digits, in five groups of four.
field-label = Give it a name of up to 100 characters, on one line.
field-reason = Give a reason of up to 500 characters, on one line.
field-deadline = Choose a day after today.
tick-first = Store the code first, then tick that you have.

## Pages for what went wrong
not-found-title = There is no such page
not-found-text = It may have moved, or it is not yours to see.
forbidden-title = This is not yours to do
forbidden-text = Only others may do this. If you should be able to, ask a superuser of the agreement.
stale-form-title = That page is out of date
stale-form-text = Nothing was changed. You have signed in or out since the page was loaded, or your browser keeps no cookies, which this service needs. Allow them if so, and open the page again.
challenge-expired-title = That took too long
challenge-expired-text = A sign-in must be finished within five minutes. Start again.
enrolment-expired-title = That took too long
enrolment-expired-text = Setting up an authenticator must be finished within ten minutes. Look at your account: if the authenticator is not there, start again.
two-factor-required-title = Two-factor is required of you
two-factor-required-text = So it cannot be turned off. You can replace your authenticator, or add another one first and then remove this one.
too-many-authenticators-title = You have as many authenticators as there can be
too-many-authenticators-text = Remove one first, or replace them all by a new one.
agreement-closed-title = That agreement is closed
agreement-closed-text = Nothing of it can be changed any more.
busy-title = Too much is going on right now
busy-text = Try again in a moment. Look first whether what you did took effect.
went-wrong-title = Something went wrong here
went-wrong-text = It is not your doing. Try again; if it goes on, ask whoever runs this service.
unreadable-title = That cannot be read
unreadable-text = Something in the address or in the form is not as this service writes it. Go back to the page before, and go on from there.

## Two-factor at sign-in
required-title = Set up two-factor to go on
required-by-day = You can leave it until { $day }.
required-text = You need an authenticator app on your phone, tablet or computer. It takes about two minutes.
set-up-now = Set up two-factor
remind-me-later = Remind me later
not-you = Not you? Sign in as somebody else
pass = Pass
pass-hint = It begins with csp_. You got it from whoever reset your two-factor.
reason-own = { $name } requires two-factor of everybody linked to it.
reason-own-by = { $name } requires two-factor of everybody linked to it, by { $day }.
reason-administrator = { $name } requires two-factor for every agreement that it administers.
reason-administrator-by = { $name } requires two-factor for every agreement that it administers, by { $day }.

## Setting it up
enable-title = Enable two-factor authentication
enable-text = From then on you sign in with your password and a code that an app on your phone, tablet or computer shows.
replace-title = Replace your authenticator
replace-text = Once the new one is confirmed, the others stop working.
label = What to call the app
label-hint = For example “My phone”. You can leave this empty.
scan-title = Connect your authenticator app
scan-download = Download an authenticator app from the App Store or Google Play, or use one that you have.
scan-qr = Scan this QR code with the app.
scan-key = Or type this key into the app:
scan-code = Type the six digits that the app then shows.
scan-until = You have until
qr-alt = QR code for your authenticator app. The same key stands below as text.
keep-code-title = Store your emergency code
keep-code-text = It lets you sign in on the day your phone or tablet is lost. It is shown this once. Store it in a safe place that is not your phone.
new-code-title = Store your new emergency code
new-code-text = You are signed in. The code that you used is void now; this one takes its place, and it is shown this once.
spent-code-text = The code that you used is void now; this one takes its place, and it is shown this once. Store it in a safe place that is not your phone. After that you connect your app.
copy-code = Copy code
copied = Copied
not-copied = Could not copy it; select the code instead.
download-code = Save as a file
print = Print
code-file = Emergency code for { $service }: { $code }. It works once.
code-file-name = emergency-code.txt
i-have-stored-it = I have stored it
lost-for-good = Have you lost your authenticator for good?
lost-for-good-hint = If so, set up a new one now. The lost one stops working.
lost-yes = Yes, set up a new one
lost-no = No, I still have it
renew-code-title = Get a new emergency code
renew-code-text = The one that you have now stops working.
renew-code = Get a new emergency code
done-title = Two-factor is on
done-text = Next time you sign in, you are asked for a code from your app. You can close this window and go on with your work.

## The account
account-title = Your account
two-factor = Two-factor authentication
two-factor-on = On
since = since
two-factor-off = Off
two-factor-why = With two-factor, a stolen password is not enough to get into your account.
enable = Enable two-factor authentication
authenticators = Authenticator apps
added = Added
last-used = Last used
authenticator-disabled = Disabled after too many wrong codes. Replace it.
remove = Remove
remove-named = Remove { $label }
remove-title = Remove { $label }?
remove-text = Its codes stop working. If it is the last one, two-factor goes off.
add-authenticator = Add another
replace-authenticators = Replace
emergency-code-stored = You have one, and you told us that you stored it.
emergency-code-not-stored = You have one, but you have not told us that you stored it. If you do not have it, get a new one.
turn-off-title = Turning it off
turn-off = Turn off two-factor
cannot-turn-off = You cannot turn it off while it is required of you.
disable-title = Turn off two-factor?
disable-text = Then your password alone opens your account. Your authenticators and your emergency code stop working.
sessions = Where you are signed in
this-session = This browser
another-session = Another browser or application
signed-in-at = Signed in
sign-out-session = Sign out there
sign-out-everywhere = Sign out everywhere
recent-activity = Recent activity
nothing-yet = Nothing yet.

## An agreement
administrator = Administrator
basic-information = Basic information
company = Company
edit = Edit
agreement-number = Number
agreement-kind = Kind
kind-administrator = Administrator agreement
kind-standard = Standard agreement
administered-by = Administered by
nobody = Nobody
administers = Administers
agreements = { $count ->
    [one] { $number } agreement
   *[other] { $number } agreements
}
closed = This agreement is closed. Nothing of it can be changed any more.
audit-of-agreement = Audit trail of this agreement
next-page = Next page
name = Name
enforcement = Two-factor for everybody
enforced = Enforced for all users linked to this agreement
not-enforced = Not enforced by this agreement
enforce = Enforce two-factor authentication
enforce-hint = You see whom it reaches before anything changes.
switched-at = Last changed
switched-by = Changed by
deadline = Deadline
no-deadline = None: it holds from the next sign-in
coverage = Who has two-factor
coverage-alone = People of this agreement alone
reached-now = Reached by enforcement: { $reach }
reached-if = Enforcement would reach: { $reach }
coverage-later = The figures are still being counted. Load the page again in a moment.
coverage-table = The same figures, day by day
members = People
with-two-factor = With two-factor
required-of = Required to have it
overdue = Overdue
day = Day
chart-people = People, day by day
chart-told = People, those with two-factor and those overdue, over the days that the table below lists.
without-title = People without two-factor
without-alone = Of this agreement alone. Those of the agreements that it administers stand on their own pages.
without-nobody = Everybody linked to this agreement has two-factor.
required-since = Required since
standing = Standing
not-required = Not required
administered-title = Agreements that it administers
administers-none = It administers no agreement.
inherited = Required by { $name }
own-tick = Required by its own tick

## Enforcing two-factor
enforce-title = Enforce two-factor for { $name }
people = { $count ->
    [one] { $number } person
   *[other] { $number } people
}
reach = { $people } in { $agreements }; { $without }
reach-without = { $count ->
    [0] all of them have two-factor already.
    [one] { $number } of them has no two-factor yet.
   *[other] { $number } of them have no two-factor yet.
}
reach-who = Whom it reaches
reach-part = The list is long, so it goes on over several pages. What is typed below does not go along when you turn to another.
first-page = First page
reach-nobody = Nobody is linked yet. It will reach everybody who is linked later.
enforce-text = Whoever has no two-factor sets it up at the next sign-in, and must before the deadline has passed. Until you untick it, nobody whom it reaches can turn two-factor off.
choose-deadline = Last day to set it up
deadline-hint = You can leave this empty: then it holds from the next sign-in. The day ends at midnight, UTC.
reason = Reason
reason-hint = For the record. You can leave this empty.
enforce-now = Enforce two-factor
stop-enforcing-title = Stop enforcing two-factor for { $name }
stop-enforcing-text = This only permits people to turn two-factor off. It turns off nothing.
stop-enforcing-keeps = Whoever has two-factor keeps it, and goes on signing in with it, until they turn it off themselves.
stop-enforcing-still = Here it stays required all the same.
stop-enforcing = Stop enforcing

## The audit trail
audit-title = Audit trail
audit-title-of = Audit trail of { $name }
audit-text = What you may see of it, the newest first. Days and times are in UTC.
audit-empty = There is no entry of this kind.
back-to-agreement = Back to the agreement
show-new = Show new entries
stopped-looking = New entries are no longer looked for. Load the page again to go on.
older-entries = Older entries
filter = Choose entries
from-day = From
to-day = Up to and including
which-person = Person
which-person-hint = E-mail address or user id
which-agreement = Agreement
which-agreement-hint = Number or agreement id
user-id = User id
agreement-id = Agreement id
what-happened = What happened
anything = Anything
types-of-people = People
types-of-agreements = Agreements
types-of-instance = This service
show-entries = Show entries
show-all = Show all
field-person = Nobody whom you may see has that. Type a whole e-mail address, or a user id as the details of an entry show it.
field-agreement = No agreement that you may see has that. Type its number, or its id as the details of an entry show it.
field-type = Choose one from the list.
field-day = Choose a day, such as 1 March 2027.
field-day-to = Choose a day that is not before the first.
entry-title = Entry { $position }
details = Details
included = Included in checkpoint { $size }
included-verified = Included in checkpoint { $size }, verified
included-text = When this page was made, the proof was checked: apart from names, which are those of today, and from what reads [erased], what is shown here is what was recorded. The entry leads to the root of that checkpoint, and the checkpoint is signed with the key of this ledger.
not-included = Not in a checkpoint yet
not-proved = The ledger does not prove this entry
not-proved-text = A checkpoint covers it, but what is stored of it is not what was recorded, or the proof does not lead to the root of the checkpoint. Do not rely on what is shown here. Tell whoever runs this service; they can find out more with countersign verify.
proof-title = Proof
leaf = What is proved, byte for byte
leaf-text = The ledger hashes this text. It names what the entry says by its hash, so that nothing in it can change unnoticed.
to-audit = Go to the audit trail
actor = Done by
actor-user = person
actor-api-key = application
actor-operator = operator on the command line
actor-sign-in-page = sign-in page
on-behalf-of = On behalf of
address = Network address
user-agent = Browser or application
request = Request
event-id = Event id
position = Position
data = What the event says

## The REST API
docs-title = The REST API
docs-text = What applications can ask, and what they are answered. Programs read the same as
docs-problems = Problems
docs-shapes = Shapes

## What auditors have beside the trail
evidence-title = Evidence reports
evidence-text = Each answers one question, is signed with the ledger's key, and prints well. They are in English. Some ask for a day, a period or an agreement first.
export-as = Save as { $format }
export-all-of-period = A file holds every entry of the period; what else you chose does not narrow it.
export-all = A file holds every entry there is; what you chose does not narrow it.
make-report = Make the report
report-day = Day
report-day-hint = As things stood at the end of that day in UTC; leave it empty for now.
report-agreement-hint = Number or agreement id; leave it empty for all.
to-reports = Back to the reports
back-to-trail = Back to the audit trail
look-back-title = As it was
look-back-text = Name a person or an agreement, and a day. You see how things stood at the end of that day in UTC, or now if you give none.
look-back-day = Day
look-back = Look back
look-back-ground = Worked out from what had been recorded by then, among the first { $entries } entries of the ledger.
none = None
linked-to = Agreements
role-superuser = superuser
role-user = user
sessions-then = Sessions
superusers-then = Superusers
enforcement-then = Two-factor required
enforcement-through = Two-factor required by { $name }
not-there-then = There was nobody and nothing with this id then.
not-both = Name a person or an agreement, not both. Empty one of the two.
field-on = Choose a day that has come.
