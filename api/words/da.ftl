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
codes-locked-text = Der er givet for mange forkerte koder, så koder fra appen godtages ikke i en periode. Din nødkode virker stadig.
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
pass-required = Din totrinsbekræftelse er nulstillet. Skriv det pas, du har fået til at sætte den op på ny.
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
stale-form-title = Siden var fra før
stale-form-text = Du er logget ind eller ud, siden den blev hentet, så intet er ændret. Åbn siden igen.
challenge-expired-title = Det tog for lang tid
challenge-expired-text = Et login skal være færdigt inden for fem minutter. Begynd forfra.
enrolment-expired-title = Det tog for lang tid
enrolment-expired-text = En authenticator skal sættes op inden for ti minutter. Intet er ændret. Begynd forfra.
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

## Totrinsbekræftelse ved login
required-title = Sæt totrinsbekræftelse op for at fortsætte
required-by-day = Du kan vente til { $day }.
required-text = Du skal bruge en authenticator-app på din telefon, tablet eller computer. Det tager cirka to minutter.
set-up-now = Sæt totrinsbekræftelse op
remind-me-later = Mind mig om det senere
pass = Pas
pass-hint = Det begynder med csp_. Du har fået det af den, der nulstillede din totrinsbekræftelse.
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
copy-code = Kopiér koden
copied = Kopieret
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
emergency-code-stored = Du har en og har sagt, at den er gemt.
emergency-code-not-stored = Du har en, men har ikke sagt, at den er gemt. Har du den ikke, så få en ny.
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

## REST-API'et
docs-title = REST-API'et
docs-text = Hvad programmer kan spørge om, og hvad de får til svar, på engelsk. Programmer læser det samme som
docs-problems = Problemer
docs-shapes = Former
