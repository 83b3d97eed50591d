import { expect, test } from 'vitest'
import { useApi } from '../../test/api.ts'
import { type ExportFile, lines, useImports } from '../../test/imports-api.ts'

// Complete export files of marketing tools and shops, with invented people. The names of the columns are those of public
// programs that read such files; each entry says which.

const { upload, expectExport, makeList } = useImports(useApi())
const ignore = '?unknown_columns=ignore'

// a program that loads the three files of a Mailchimp audience, and the test of another one
const mailchimp = {
  start:
    '"Email Address","First Name","Last Name",Address,"Phone Number",Birthday,MEMBER_RATING,OPTIN_TIME,OPTIN_IP,CONFIRM_TIME,CONFIRM_IP,GMTOFF,DSTOFF,TIMEZONE,CC,REGION',
  person:
    'ana@cedar.example,Ana,López,"1 Main St  Seattle WA 98101",(206) 555-0141,05/06,3,"2023-04-05 10:11:12",,"2023-04-05 10:11:12",203.0.113.7,-8,-7,US/Pacific,US,WA',
}
const unsubscribed = lines(
  `${mailchimp.start},UNSUB_TIME,UNSUB_CAMPAIGN_TITLE,UNSUB_CAMPAIGN_ID,UNSUB_REASON,UNSUB_REASON_OTHER,LEID,EUID,NOTES,TAGS`,
  `${mailchimp.person},"2024-02-03 10:00:00",November,a1,"No longer interested",,1,abc,,"""vip"""`,
)
const cleaned = lines(
  `${mailchimp.start},CLEAN_TIME,CLEAN_CAMPAIGN_TITLE,CLEAN_CAMPAIGN_ID,LEID,EUID,NOTES,TAGS`,
  `${mailchimp.person},"2024-02-03 10:00:00",November,a1,1,abc,,"""vip"""`,
)

const files: Record<string, ExportFile> = {
  'subscribed people of Mailchimp': {
    file: lines(
      `${mailchimp.start},LAST_CHANGED,LEID,EUID,NOTES,TAGS`,
      `${mailchimp.person},"2024-01-01 00:00:00",1,abc,,"""vip"",""web form"""`,
      'bob@cedar.example,Bob,,,,,2,,,,,,,,,,"2024-01-01 00:00:00",2,abd,,',
    ),
    query: ignore,
    counts: { added: 1, skipped: 1, warning_count: 1 },
    people: ['2065550141 Ana López ana@cedar.example vip+web form'],
  },
  'unsubscribed people of Mailchimp, as opt-outs': {
    file: unsubscribed,
    query: `${ignore}&columns[UNSUB_TIME]=unsubscribed_at`,
    counts: { added: 1, opted_out: 1, warning_count: 1 },
    people: ['2065550141 unsubscribed Ana López ana@cedar.example vip'],
    ignored: ['UNSUB_REASON', 'UNSUB_CAMPAIGN_TITLE'],
  },
  'cleaned people of Mailchimp, whose e-mail bounced': {
    file: cleaned,
    query: `${ignore}&columns[CLEAN_TIME]=ignore`,
    counts: { added: 1, warning_count: 1 },
    people: ['2065550141 Ana López ana@cedar.example vip'],
    ignored: ['CLEAN_TIME'],
  },
  // a program that writes such files (Klaviyo ID, Email Marketing Consent), and Klaviyo's documentation of text consent
  Klaviyo: {
    file: lines(
      'Email,Klaviyo ID,First Name,Last Name,Organization,Title,Phone Number,Address,Address 2,City,State / Region,Country,Zip Code,Date Added,Last Active,Email Marketing Consent,SMS Marketing Consent,SMS Consent Timestamp',
      'ana@cedar.example,01H,Ana,López,,,+12065550141,,,Seattle,WA,United States,98101,2024-01-01,2024-02-01,NEVER_SUBSCRIBED,SUBSCRIBED,2024-01-01T10:00:00+00:00',
      'bob@cedar.example,01J,Bob,,,,+12065550142,,,,,,,2024-01-01,,SUBSCRIBED,UNSUBSCRIBED,2024-01-01T10:00:00+00:00',
      'cleo@cedar.example,01K,Cleo,,,,+12065550143,,,,,,,2024-01-01,,SUBSCRIBED,NEVER_SUBSCRIBED,',
    ),
    query: ignore,
    counts: { added: 2, opted_out: 1, skipped: 1 },
    people: ['2065550141 Ana López ana@cedar.example 98101', '2065550142 unsubscribed Bob bob@cedar.example'],
    ignored: ['Email Marketing Consent'],
  },
  // many programs that read customers_export.csv; numbers have apostrophes, and newer files a column about WhatsApp
  Shopify: {
    file: lines(
      'Customer ID,First Name,Last Name,Email,Accepts Email Marketing,Default Address Company,Default Address Address1,Default Address Address2,Default Address City,Default Address Province Code,Default Address Country Code,Default Address Zip,Default Address Phone,Phone,Accepts SMS Marketing,Total Spent,Total Orders,Note,Tax Exempt,Tags,Accepts WhatsApp Marketing',
      "'7001,Ana,López,ana@cedar.example,no,,1 Main St,,Seattle,WA,US,'02134,(206) 555-0199,'+12065550141,yes,10.00,1,,no,vip,no",
      "'7002,Bob,,bob@cedar.example,yes,,,,,,,,,'+12065550142,no,0.00,0,,no,,yes",
    ),
    query: ignore,
    counts: { added: 1, skipped: 1 },
    people: ['2065550141 Ana López ana@cedar.example 02134 vip'],
    ignored: ['Accepts Email Marketing', 'Default Address Phone'],
  },
  // Listrak's documentation of its lists of contacts to texts, subscribed and opted out
  'opted-out contacts of Listrak': {
    file: lines(
      'Phone,Email,Opt-out Date,Reason',
      '2065550141,ana@cedar.example,3/4/2025 10:12 AM,STOP',
      '2065550142,,3/5/2025 10:12 AM,Banned',
    ),
    query: ignore,
    counts: { added: 2, opted_out: 2 },
    people: ['2065550141 unsubscribed ana@cedar.example', '2065550142 unsubscribed'],
  },
  'subscribed contacts of Listrak': {
    file: lines('Phone,Email,Subscribe Date,List Name', '2065550141,ana@cedar.example,3/4/2024 10:12 AM,News'),
    counts: { added: 1 },
    people: ['2065550141 ana@cedar.example'],
  },
  // the fixtures of a program that reads exports of 30 products
  WooCommerce: {
    file: lines(
      'Customer ID,Username,First name,Last name,Email,Billing Phone,City,Total spend,Order count',
      '881,ana,Ana,López,ana@cedar.example,(206) 555-0141,Seattle,$10.00,3',
      '882,bob,Bob,,bob@cedar.example,,Tacoma,0,0',
    ),
    query: ignore,
    counts: { added: 1, skipped: 1 },
    people: ['2065550141 Ana López ana@cedar.example'],
  },
}

test.each(Object.entries(files))('imports an export of %s', async (_name, file) => {
  await expectExport(file)
})

test.each([
  ['UNSUB_TIME', unsubscribed],
  ['CLEAN_TIME', cleaned],
])('does not decide whether %s of Mailchimp, which is about e-mail, is about texts', async (name, file) => {
  const { status, body } = await upload(await makeList(), file, { query: ignore })
  expect([status, body.error]).toEqual([422, expect.stringContaining(`"${name}"`)])
})
