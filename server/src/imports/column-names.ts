// The names that other products and people give to the columns of their files. Names are compared by their letters and
// digits alone: "E-mail Address", "email_address" and "emailAddress" are the same.

/** Columns of a file: those of the staging table in its order, then those that state the consent of a number. */
export const columns = [
  'phone_number',
  'first_name',
  'last_name',
  'email',
  'zip_code',
  'birthdate',
  'gender',
  'tags',
  'consented_at',
  'consent_source',
  'consent_text',
  'status',
  'opted_in',
  'opted_out',
  'unsubscribed_at',
  'cleaned_at',
] as const

export type Column = (typeof columns)[number]

/** Number of the columns whose values are stored as they are. */
export const storedColumns = columns.indexOf('status')

/** Returns the letters and digits of a name in lower case, without accents. */
export function words(name: string): string {
  return name
    .normalize('NFKD')
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]+/gu, '')
}

// of several columns for one, the one that is named first here is used; the phone number and the state of consent have no
// such order, because a wrong choice sends texts to the wrong people
const names: Readonly<Record<Column, string>> = {
  phone_number: `
    phone phoneno phonenum phonenumbers number mobile mobilephone mobilenumber mobilephonenumber mobileno mobiletelephone
    mobilephoneno cell cellno cellphone cellnumber cellphonenumber cellular cellularphone cellularnumber telephone
    telephonenumber telephoneno telno tel msisdn sms smsnumber smsphone smsphonenumber textnumber textphone wireless
    wirelessphone wirelessnumber primaryphone primaryphonenumber primarymobile primarycell contactphone contactnumber
    contactphonenumber contactmobile customerphone subscribernumber subscriberphone recipientphone phone1 phone1value
    phonemobile phonecell donorphone can2phone mobile1 mobilephone1 cell1 cellphone1 preferredphone phoneprimary voterphone
    cellphoneclean billingphone telefono telefonocelular telefonomovil celular movil numerodetelefono
    numerodetelephone telephoneportable telefon telefonnummer handy handynummer mobilnummer`,
  first_name:
    'firstname first fname givenname given forename namefirst donorfirstname contactfirstname customerfirstname subscriberfirstname nombre prenom vorname',
  last_name:
    'lastname last lname surname familyname family namelast donorlastname secondname contactlastname customerlastname subscriberlastname apellido apellidos nachname',
  email:
    'emailaddress mail emailid primaryemail emailaddress1 email1 email1value donoremail emails contactemail personalemail preferredemail emailprimary correo correoelectronico courriel',
  zip_code: `
    zip zip5 zipcode5 postalcode postcode postal zippostal zippostalcode postalzip postalzipcode mailingzip mailingzipcode
    mailingzip5 mailingpostalcode mailingzippostalcode homepostalcode donorzip mzip5 mzip homezip homezipcode addresszip address1zip address1postalcode addresspostalcode homeaddresszip primaryzip primaryaddresszip
    defaultaddresszip billingzip billingpostcode shippingzip zipcodepostalcode codigopostal codepostal postleitzahl plz`,
  birthdate:
    'birthday dob dateofbirth bornat birthdt bday bdate datebirth born fechadenacimiento datedenaissance geburtsdatum',
  gender: 'sex',
  tags: 'tag taglist tagnames can2usertags',
  consented_at: `
    consentdate consenttime consenttimestamp consentedon dateofconsent smsconsenttimestamp smsconsentdate mostrecentoptin
    lastoptin optinat optedinat optindate optintime optintimestamp optedinon smsoptinat smsoptindate smsoptintime
    mobileoptindate mobileoptinat optinconfirmationtime confirmtime subscribedat subscribedon subscribedate
    subscriptiondate datesubscribed dateoptedin dateofoptin signupdate signedupat joinedat joineddate`,
  consent_source:
    'consentmethod optinsource smsoptinsource smsconsentsource smsconsentmethod optinmethod signupsource source',
  consent_text: 'wording consentwording consentmessage consentlanguage optinwording optinlanguage',
  status: `
    substatus can2smsstatus subscriptionstatus subscriberstatus subscriptionstate subscriberstate contactstatus optinstatus optoutstatus
    optstatus consentstatus consentstate consent smsconsent smsconsentstatus smsconsentstate smsstatus smssubscriberstatus smssubscription
    smssubscriptionstatus smsmarketingconsent smsmarketingstatus smsmarketingstate textstatus textmessagestatus
    mobilestatus mobilesubscriptionstatus phonestatus phonenumberstatus marketingstatus memberstatus smsoptinstatus
    mobileoptinstatus smsoptstatus smsoptoutstatus
    textoptoutstatus mobileoptoutstatus`,
  opted_in: `
    optin isoptin isoptedin hasoptedin smsoptin smsoptedin textoptin textsoptin textingoptin mobileoptin phoneoptin
    textmessageoptin subscribed issubscribed smssubscribed smssubscriber mobilesubscribed subscribedtosms acceptssms
    acceptstexts acceptsmarketing acceptssmsmarketing smspermission textpermission smsallowed smsok textok oktotext
    oktosms cantext cansms receivesms receivetexts receivetextmessages smsenabled smsopt marketingoptin`,
  opted_out: `
    optout isoptout isoptedout hasoptedout smsoptout smsoptedout textoptout textsoptout textingoptout mobileoptout
    phoneoptout textmessageoptout unsubscribed isunsubscribed smsunsubscribed unsubscribe unsub stop stopped donottext
    donotsms donottxt donotmessage donotcontact donotcall donotphone donotdisturb donotsolicit donotsendsms donotsendtexts
    dnt dnc dncflag dnd dndflag smsdnd nosms notext notexts blocked blacklisted blocklisted suppressed isblocked`,
  unsubscribed_at: `
    unsubscribedon unsubscribedate unsubscribetime unsubscribeddate dateunsubscribed unsubscribetimestamp unsubdate
    smsunsubscribetimestamp optedoutat optedouton optedoutdate optoutat optoutdate optouttime optouttimestamp optoutconfirmationtime
    smsoptoutat smsoptoutdate smsoptouttime smsunsubscribedat mobileoptoutdate dateoptedout dateofoptout optoutson
    stopdate stoppeddate stoppedat stoppedon datestopped`,
  cleaned_at: 'cleanedon cleandate cleaneddate ismobilebad mobilebad isbadnumber badnumber bouncedat hardbouncedat',
}

const strict: ReadonlySet<Column> = new Set([
  'phone_number',
  'status',
  'opted_in',
  'opted_out',
  'unsubscribed_at',
  'cleaned_at',
])

/** Names of a phone number that count only without a clearer one: shops have a number for the bill, too. */
const weak: ReadonlySet<string> = new Set(['billingphone'])

const aliases = new Map<string, { column: Column; rank: number }>()
for (const [column, list] of Object.entries(names) as [Column, string][]) {
  for (const [index, name] of list.trim().split(/\s+/).entries()) {
    aliases.set(name, { column, rank: strict.has(column) ? (weak.has(name) ? 1 : 0) : index + 1 })
  }
}

/** Returns the column with this other name, given as `words` returns it; a lower rank is the clearer name. */
export function aliasOf(plain: string): { column: Column; rank: number } | undefined {
  return aliases.get(plain)
}

/** Columns of the vendor's exports that say nothing about a person; they are ignored without the caller's consent. */
export const needlessColumns: ReadonlySet<string> = new Set(
  `reportrundate owneraccountid companyname listid listname subscriberid carrier carriername apisource keywordname
   globalcarrierid globalcarriername optininprogress`.split(/\s+/),
)

const consentWords =
  /opt(?:ed)?(?:in|out|s)|consent|unsub|subscri(?:be|bed|ption)s?$|donot|dontcontact|donttext|permission|suppress|blacklist|blocklist|smsmarketing|textmarketing|acceptsmarketing|tcpa|^cleantime$|receive(?:text|sms)|canwetext|maywetext|(?:text|sms)(?:you|me)$|(?:text|sms)(?:updates|alerts|notifications)|^dnc|dnc$|^dnd|dnd$|bounced?$|revoked?(?:at|on|date)?$|withdr(?:ew|awn|awal)(?:at|on|date)?$|^textable|betexted$|wants?(?:texts?|sms)$|^liststatus$|^stop(?:ped|date|time|at|on)|^(?:is)?(?:inactive|removed|blocked)(?:at|on|date)?$|^status$|(?:sms|text|mobile|phone|subscriber)(?:state|status)$/

// e-mail and letters, and the circumstances of an opt-in
const aboutOthers = /mail|newsletter|(?:ip|ipaddress|url|page|form|useragent|id)$/

const aboutOptOut = /^(?:unsub|optout|clean).*(?:reason|campaign|title|other|comment|source|method)/

/** Returns whether a column describes an opt-out whose date another column has. */
export function describesOptOut(name: string): boolean {
  return aboutOptOut.test(words(name))
}

/** Returns whether a column may state that a person must not be texted. Consent to e-mail and letters is another matter. */
export function looksLikeConsent(name: string): boolean {
  const plain = words(name)
  return consentWords.test(plain) && !aboutOthers.test(plain)
}
