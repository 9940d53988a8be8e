# Hvad siderne siger på dansk. Enkle ord: hvad der er sket, og hvad man gør.

## Omkring hver side
skip-to-content = Gå til indholdet
pages = Sider
sign-out = Log ud
continue = Fortsæt
cancel = Fortryd
go-back = Tilbage til hvor du kom fra
to-account = Gå til din konto
to-sign-in = Gå til login
there-is-a-problem = Der er et problem
request-id = Hvis du beder om hjælp, så nævn denne forespørgsel: { $id }

## Hvor længe
seconds = { $count ->
    [one] { $count } sekund
   *[other] { $count } sekunder
}
minutes = { $count ->
    [one] { $count } minut
   *[other] { $count } minutter
}
hours = { $count ->
    [one] { $count } time
   *[other] { $count } timer
}

## At logge ind
sign-in-title = Log ind på { $service }
email = E-mailadresse
password = Adgangskode
sign-in = Log ind
code-title = Skriv koden fra din app
code-text = Åbn din authenticator-app, og skriv de seks cifre, den viser.
code = Sekscifret kode
code-hint = Den skifter hvert 30. sekund.
another-way = Prøv på en anden måde
another-way-text = Har du ikke din telefon eller tablet ved hånden, så brug den nødkode, du gemte, da du slog totrinsbekræftelse til.
another-way-lost = Har du også mistet den, så spørg dem, der driver tjenesten. De kan lade dig sætte totrinsbekræftelse op på ny.
use-emergency-code = Brug din nødkode
codes-locked-title = Koder er spærret lige nu
codes-locked-for = Der er givet for mange forkerte koder, så koder fra appen godtages ikke igen før om { $wait }. Din nødkode virker imens.
codes-disabled-title = Din app godtages ikke mere
codes-disabled-text = Der er givet for mange forkerte koder. Log ind med din nødkode, og sæt appen op på ny.
sign-in-time = Bliv færdig inden fem minutter, efter at du har givet din adgangskode. Ellers begynder du forfra; intet går tabt.
emergency-title = Skriv din nødkode
emergency-text = Den har tyve bogstaver og cifre. Den virker én gang; du får en ny lige efter.
emergency-code = Nødkode
emergency-hint = For eksempel ABCD-EFGH-JKMN-PQRS-TVWX. Store bogstaver og bindestreger er uden betydning.
back-to-code = Tilbage til koden fra din app

## Hvad der kan være galt
wrong-credentials = E-mailadressen eller adgangskoden passer ikke. Se dem efter, og prøv igen.
throttled = For mange forkerte adgangskoder. Vent { $wait }, og prøv så igen.
locked = For mange forkerte koder. Vent { $wait }, eller brug din nødkode.
wrong-code = Koden passer ikke. Se den efter, eller vent på den næste i din app.
code-already-used = Koden er allerede brugt. Vent på den næste i din app.
wrong-confirmation-code = Det er ikke den kode, appen viser. Se efter, at appen har det rigtige klokkeslæt, og prøv den næste.
pass-required = Din totrinsbekræftelse er nulstillet. Skriv den engangskode, du har fået til at sætte den op på ny.
step-up-required = Vis, at det er dig: giv din adgangskode, og koden, når totrinsbekræftelse er slået til.
field-email = Skriv en e-mailadresse, for eksempel kari@example.com.
field-code = Skriv de seks cifre, din app viser.
field-emergency-code = En nødkode har tyve bogstaver og cifre i fem grupper på fire.
field-label = Giv den et navn på højst 100 tegn på én linje.
field-reason = Giv en begrundelse på højst 500 tegn på én linje.
field-deadline = Vælg en dag efter i dag.
tick-first = Gem koden først, og sæt så hak ved, at du har gjort det.

## Sider for det, der gik galt
not-found-title = Den side findes ikke
not-found-text = Den kan være flyttet, eller du har ikke adgang til den.
forbidden-title = Det kan du ikke gøre
forbidden-text = Det kan kun andre. Burde du kunne, så spørg en superbruger på aftalen.
stale-form-title = Siden er forældet
stale-form-text = Intet er ændret. Enten er du logget ind eller ud, siden den blev hentet, eller også gemmer din browser ikke cookies, som tjenesten har brug for. Tillad dem i så fald, og åbn siden igen.
challenge-expired-title = Det tog for lang tid
challenge-expired-text = Et login skal være færdigt inden for fem minutter. Begynd forfra.
enrolment-expired-title = Det tog for lang tid
enrolment-expired-text = En authenticator skal sættes op inden for ti minutter. Se på din konto: er authenticatoren der ikke, så begynd forfra.
two-factor-required-title = Totrinsbekræftelse kræves af dig
two-factor-required-text = Derfor kan den ikke slås fra. Du kan udskifte din authenticator, eller tilføje en ny og så fjerne denne.
too-many-authenticators-title = Du har så mange authenticatorer, som man kan have
too-many-authenticators-text = Fjern en først, eller udskift dem alle med en ny.
agreement-closed-title = Aftalen er lukket
agreement-closed-text = Intet på den kan ændres mere.
busy-title = Der er for travlt lige nu
busy-text = Prøv igen om et øjeblik. Se først, om det, du gjorde, fik virkning.
went-wrong-title = Noget gik galt her
went-wrong-text = Det er ikke din skyld. Prøv igen; bliver det ved, så spørg dem, der driver tjenesten.
unreadable-title = Det kan ikke læses
unreadable-text = Noget i adressen eller formularen er ikke, som tjenesten skriver det. Gå tilbage til siden før, og fortsæt derfra.

## Totrinsbekræftelse ved login
required-title = Sæt totrinsbekræftelse op for at fortsætte
required-by-day = Du kan vente til { $day }.
required-text = Du skal bruge en authenticator-app på din telefon, tablet eller computer. Det tager cirka to minutter.
set-up-now = Sæt totrinsbekræftelse op
remind-me-later = Mind mig om det senere
not-you = Er det ikke dig? Log ind som en anden
pass = Engangskode
pass-hint = Den begynder med csp_. Du har fået den af den, der nulstillede din totrinsbekræftelse.
reason-own = { $name } kræver totrinsbekræftelse af alle, der er tilknyttet.
reason-own-by = { $name } kræver totrinsbekræftelse af alle, der er tilknyttet, senest { $day }.
reason-administrator = { $name } kræver totrinsbekræftelse for alle aftaler, den administrerer.
reason-administrator-by = { $name } kræver totrinsbekræftelse for alle aftaler, den administrerer, senest { $day }.

## At sætte den op
enable-title = Slå totrinsbekræftelse til
enable-text = Fremover logger du ind med din adgangskode og en kode, som en app på din telefon, tablet eller computer viser.
replace-title = Udskift din authenticator
replace-text = Når den nye er bekræftet, virker de andre ikke mere.
label = Hvad appen skal hedde
label-hint = For eksempel »Min telefon«. Du kan lade feltet stå tomt.
scan-title = Forbind din authenticator-app
scan-download = Hent en authenticator-app i App Store eller Google Play, eller brug en, du har.
scan-qr = Scan QR-koden med appen.
scan-key = Eller skriv denne nøgle i appen:
scan-code = Skriv de seks cifre, som appen så viser.
scan-until = Du har tid indtil
qr-alt = QR-kode til din authenticator-app. Den samme nøgle står som tekst nedenfor.
keep-code-title = Gem din nødkode
keep-code-text = Med den kan du logge ind den dag, din telefon eller tablet er væk. Den vises kun denne ene gang. Gem den et sikkert sted, som ikke er din telefon.
new-code-title = Gem din nye nødkode
new-code-text = Du er logget ind. Koden, du brugte, gælder ikke mere; denne træder i stedet og vises kun denne ene gang.
spent-code-text = Koden, du brugte, gælder ikke mere; denne træder i stedet og vises kun denne ene gang. Gem den et sikkert sted, som ikke er din telefon. Derefter forbinder du din app.
copy-code = Kopiér koden
copied = Kopieret
not-copied = Den kunne ikke kopieres; markér koden i stedet.
download-code = Gem som fil
print = Udskriv
code-file = Nødkode til { $service }: { $code }. Den virker én gang.
code-file-name = noedkode.txt
i-have-stored-it = Jeg har gemt den
lost-for-good = Har du mistet din authenticator for altid?
lost-for-good-hint = Så sæt en ny op nu. Den mistede holder op med at virke.
lost-yes = Ja, sæt en ny op
lost-no = Nej, jeg har den stadig
renew-code-title = Få en ny nødkode
renew-code-text = Den, du har nu, holder op med at virke.
renew-code = Få en ny nødkode
done-title = Totrinsbekræftelse er slået til
done-text = Næste gang du logger ind, bliver du bedt om en kode fra din app. Du kan lukke vinduet og arbejde videre.

## Kontoen
account-title = Din konto
two-factor = Totrinsbekræftelse
two-factor-on = Slået til
since = siden
two-factor-off = Slået fra
two-factor-why = Med totrinsbekræftelse er en stjålet adgangskode ikke nok til at komme ind på din konto.
enable = Slå totrinsbekræftelse til
authenticators = Authenticator-apps
added = Tilføjet
last-used = Senest brugt
authenticator-disabled = Slået fra efter for mange forkerte koder. Udskift den.
remove = Fjern
remove-named = Fjern { $label }
remove-title = Fjern { $label }?
remove-text = Dens koder holder op med at virke. Er det den sidste, slås totrinsbekræftelse fra.
add-authenticator = Tilføj en mere
replace-authenticators = Udskift
emergency-code-stored = Du har en, og du har oplyst, at du har gemt den.
emergency-code-not-stored = Du har en, men du har ikke oplyst, at du har gemt den. Har du den ikke, så få en ny.
turn-off-title = At slå den fra
turn-off = Slå totrinsbekræftelse fra
cannot-turn-off = Du kan ikke slå den fra, mens den kræves af dig.
disable-title = Slå totrinsbekræftelse fra?
disable-text = Så åbner din adgangskode alene din konto. Dine authenticatorer og din nødkode holder op med at virke.
sessions = Hvor du er logget ind
this-session = Denne browser
another-session = En anden browser eller et program
signed-in-at = Logget ind
sign-out-session = Log ud dér
sign-out-everywhere = Log ud alle steder
recent-activity = Seneste aktivitet
nothing-yet = Intet endnu.

## En aftale
administrator = Administrator
basic-information = Stamoplysninger
company = Virksomhed
edit = Redigér
agreement-number = Nummer
agreement-kind = Type
kind-administrator = Administratoraftale
kind-standard = Almindelig aftale
administered-by = Administreres af
nobody = Ingen
administers = Administrerer
agreements = { $count ->
    [one] { $number } aftale
   *[other] { $number } aftaler
}
closed = Aftalen er lukket. Intet ved den kan længere ændres.
audit-of-agreement = Aftalens revisionsspor
next-page = Næste side
name = Navn
enforcement = Totrinsbekræftelse for alle
enforced = Gælder for alle brugere på aftalen
not-enforced = Ikke krævet af aftalen
enforce = Kræv totrinsbekræftelse
enforce-hint = Du ser, hvem det gælder, før noget ændres.
switched-at = Sidst ændret
switched-by = Ændret af
deadline = Frist
no-deadline = Ingen: det gælder fra næste login
coverage = Hvem har totrinsbekræftelse
coverage-alone = Personer på denne aftale alene
reached-now = Kravet gælder: { $reach }
reached-if = Kravet ville gælde: { $reach }
coverage-later = Tallene er ved at blive talt op. Hent siden igen om lidt.
coverage-table = De samme tal, dag for dag
members = Personer
with-two-factor = Med totrinsbekræftelse
required-of = Skal have den
overdue = Over fristen
day = Dag
chart-people = Personer, dag for dag
chart-told = Personer, dem med totrinsbekræftelse og dem over fristen, på de dage, som tabellen nedenfor viser.
without-title = Personer uden totrinsbekræftelse
without-alone = På denne aftale alene. De aftaler, den administrerer, har hver deres side.
without-nobody = Alle på aftalen har totrinsbekræftelse.
required-since = Krævet siden
standing = Status
not-required = Ikke krævet
administered-title = Aftaler, den administrerer
administers-none = Den administrerer ingen aftaler.
inherited = Krævet af { $name }
own-tick = Krævet af aftalen selv

## At kræve totrinsbekræftelse
enforce-title = Slå krav om totrinsbekræftelse til for { $name }
people = { $count ->
    [one] { $number } person
   *[other] { $number } personer
}
reach = { $people } på { $agreements }; { $without }
reach-without = { $count ->
    [0] alle har totrinsbekræftelse i forvejen.
    [one] { $number } af dem har endnu ikke totrinsbekræftelse.
   *[other] { $number } af dem har endnu ikke totrinsbekræftelse.
}
reach-who = Hvem det gælder
reach-part = Listen er lang og fortsætter over flere sider. Det, du skriver nedenfor, følger ikke med, når du skifter side.
first-page = Første side
reach-nobody = Ingen er tilknyttet endnu. Det kommer til at gælde alle, der tilknyttes senere.
enforce-text = Den, der ikke har totrinsbekræftelse, sætter den op ved næste login og skal have gjort det, inden fristen er gået. Så længe kravet er slået til, kan ingen, det gælder, slå totrinsbekræftelse fra.
choose-deadline = Sidste dag at sætte den op
deadline-hint = Du kan lade feltet stå tomt: så gælder det fra næste login. Dagen slutter ved midnat, UTC.
reason = Begrundelse
reason-hint = Til revisionssporet. Du kan lade feltet stå tomt.
enforce-now = Slå kravet til
stop-enforcing-title = Slå krav om totrinsbekræftelse fra for { $name }
stop-enforcing-text = Det giver kun lov til at slå totrinsbekræftelse fra. Det slår ikke noget fra.
stop-enforcing-keeps = Den, der har totrinsbekræftelse, beholder den og logger fortsat ind med den, indtil vedkommende selv slår den fra.
stop-enforcing-still = Her er den stadig krævet.
stop-enforcing = Slå kravet fra

## Revisionssporet
audit-title = Revisionsspor
audit-title-of = Revisionsspor for { $name }
audit-text = Det, du må se af det, det nyeste først. Dage og klokkeslæt er i UTC.
audit-empty = Der er ingen poster af den slags.
back-to-agreement = Tilbage til aftalen
show-new = Vis nye poster
stopped-looking = Der ledes ikke længere efter nye poster. Hent siden igen for at fortsætte.
older-entries = Ældre poster
filter = Vælg poster
from-day = Fra
to-day = Til og med
which-person = Person
which-person-hint = E-mailadresse eller bruger-id
which-agreement = Aftale
which-agreement-hint = Nummer eller aftale-id
user-id = Bruger-id
agreement-id = Aftale-id
what-happened = Hvad der skete
anything = Hvad som helst
types-of-people = Personer
types-of-agreements = Aftaler
types-of-instance = Tjenesten
show-entries = Vis poster
show-all = Vis alle
field-person = Ingen, du må se, har det. Skriv en hel e-mailadresse eller et bruger-id, som det står under en posts detaljer.
field-agreement = Ingen aftale, du må se, har det. Skriv dens nummer eller dens id, som det står under en posts detaljer.
field-type = Vælg en fra listen.
field-day = Vælg en dag, for eksempel 1. marts 2027.
field-day-to = Vælg en dag, der ikke ligger før den første.
entry-title = Post { $position }
details = Detaljer
included = Med i checkpoint { $size }
included-verified = Med i checkpoint { $size }, efterprøvet
included-text = Beviset blev efterprøvet, da siden blev lavet: bortset fra navne, som er dem, der gælder i dag, og det, der er erstattet af [erased], er det, der vises her, det, der blev registreret. Posten fører til roden af dette checkpoint, og checkpointet er underskrevet med hovedbogens nøgle.
not-included = Endnu ikke med i et checkpoint
not-proved = Hovedbogen beviser ikke denne post
not-proved-text = Et checkpoint dækker den, men det, der er gemt om den, er ikke det, der blev registreret, eller beviset fører ikke til checkpointets rod. Stol ikke på det, der vises her. Sig det til dem, der driver tjenesten; de kan finde ud af mere med countersign verify.
proof-title = Bevis
leaf = Det, der bevises, byte for byte
leaf-text = Hovedbogen tager hashværdien af denne tekst. Den nævner postens indhold ved dets hashværdi, så intet i det kan ændres ubemærket.
to-audit = Gå til revisionssporet
actor = Gjort af
actor-user = person
actor-api-key = program
actor-operator = operatør på kommandolinjen
actor-sign-in-page = loginsiden
on-behalf-of = På vegne af
address = Netværksadresse
user-agent = Browser eller program
request = Forespørgsel
event-id = Hændelses-id
position = Plads
data = Hvad hændelsen siger

## REST-API'et
docs-title = REST-API'et
docs-text = Hvad programmer kan spørge om, og hvad de får til svar, på engelsk. Programmer læser det samme som
docs-problems = Problemer
docs-shapes = Former

## Hvad revisorer har ud over sporet
evidence-title = Bevisrapporter
evidence-text = Hver svarer på ét spørgsmål, er underskrevet med hovedbogens nøgle og kan udskrives. De er på engelsk. Nogle spørger først om en dag, en periode eller en aftale.
export-as = Gem som { $format }
export-all-of-period = En fil rummer alle poster i perioden; resten af dit valg indsnævrer den ikke.
export-all = En fil rummer alle poster, der er; dit valg indsnævrer den ikke.
make-report = Lav rapporten
report-day = Dag
report-day-hint = Som det stod til ved dagens slutning i UTC; lad feltet stå tomt for nu.
report-agreement-hint = Nummer eller aftale-id; lad feltet stå tomt for alle.
to-reports = Tilbage til rapporterne
back-to-trail = Tilbage til sporet
look-back-title = Som det var
look-back-text = Angiv en person eller en aftale og en dag. Du ser, hvordan det stod til ved dagens slutning i UTC, eller nu, hvis du ingen giver.
look-back-day = Dag
look-back = Se tilbage
look-back-ground = Regnet ud fra det, der var registreret til da, blandt hovedbogens første { $entries } poster.
none = Ingen
linked-to = Aftaler
role-superuser = superbruger
role-user = bruger
sessions-then = Sessioner
superusers-then = Superbrugere
enforcement-then = Totrinsbekræftelse krævet
enforcement-through = Totrinsbekræftelse krævet af { $name }
not-there-then = Der var ingen og intet med dette id dengang.
not-both = Angiv en person eller en aftale, ikke begge. Tøm det ene felt.
field-on = Vælg en dag, der er kommet.
