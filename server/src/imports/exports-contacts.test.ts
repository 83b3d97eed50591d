import { expect, test } from 'vitest'
import { useApi } from '../../test/api.ts'
import { type ExportFile, lines, useImports } from '../../test/imports-api.ts'

// Complete export files of address books and CRMs, with invented people. The names of the columns are those of public
// programs that write or read such files; each entry says which.

const { upload, expectExport, makeList } = useImports(useApi())
const ignore = '?unknown_columns=ignore'

const files: Record<string, ExportFile> = {
  // programs that write files for Google Contacts; its own export since 2024 has the same header
  'Google Contacts': {
    file: lines(
      'First Name,Middle Name,Last Name,Phonetic First Name,Phonetic Middle Name,Phonetic Last Name,Name Prefix,Name Suffix,Nickname,File As,Organization Name,Organization Title,Organization Department,Birthday,Notes,Photo,Labels,E-mail 1 - Label,E-mail 1 - Value,Phone 1 - Label,Phone 1 - Value,Phone 2 - Label,Phone 2 - Value',
      'Ana,,López,,,,,,,,,,,1980-05-06,,,* myContacts,* Home,ana@cedar.example,Mobile,+1 206-555-0141,Work,206-555-0199',
      'Bob,,,,,,,,,,,,,,"line one\nline two",,* myContacts,,,Mobile,206\u2011555\u20110142,,',
      'Cleo,,,,,,,,,,,,,,,,* myContacts,,,Mobile,206-555-0143 ::: 206-555-0144,,',
    ),
    query: ignore,
    counts: { added: 2, skipped: 1 },
    people: ['2065550141 Ana López ana@cedar.example 19800506', '2065550142 Bob'],
  },
  // several programs that convert address books to Outlook's export with 92 columns, of which the people's are here
  Outlook: {
    file: Buffer.from(
      lines(
        "Title,First Name,Middle Name,Last Name,Suffix,Company,Department,Job Title,Home Street,Home Street 2,Home Street 3,Home City,Home State,Home Postal Code,Home Country/Region,Assistant's Phone,Business Fax,Business Phone,Business Phone 2,Callback,Car Phone,Company Main Phone,Home Fax,Home Phone,Home Phone 2,ISDN,Mobile Phone,Other Fax,Other Phone,Pager,Primary Phone,Radio Phone,TTY/TDD Phone,Telex,Account,Anniversary,Assistant's Name,Billing Information,Birthday,Categories,E-mail Address,E-mail Type,E-mail Display Name,E-mail 2 Address,Gender,Hobby",
        ',Ana,,López,,,,,1 Main St,,,Seattle,WA,98101-1234,,,,206-555-0199,,,,,,206-555-0198,,,(206) 555-0141,,,,,,,,,0/0/00,,,5/6/1980,,ana@cedar.example,SMTP,,,Unspecified,',
        ',Bob,,,,,,,,,,,,,,,,,,,,,,,,,1.206.555.0142,,,,,,,,,,,,0/0/00,,,,,,Unspecified,',
      ),
      'latin1',
    ),
    query: `${ignore}&columns[Mobile%20Phone]=phone_number`,
    counts: { added: 2, warning_count: 3 },
    people: ['2065550141 Ana López ana@cedar.example 98101 19800506', '2065550142 Bob'],
    ignored: ['Primary Phone'],
  },
  // two programs that load HubSpot's export of contacts
  HubSpot: {
    file: lines(
      'Record ID,First Name,Last Name,Email,Phone Number,Contact owner,Last Activity Date,Lead Status,Marketing contact status,Create Date',
      '101,Ana,López,ana@cedar.example,+1 206 555 0141,Dee,2024-01-02 10:00,NEW,Marketing contact,2024-01-02 10:00',
      '102,Bob,,,206-555-0142,Dee,,,Non-marketing contact,2024-01-02 10:00',
      '103,Cleo,,cleo@cedar.example,,Dee,,,Non-marketing contact,2024-01-02 10:00',
    ),
    query: ignore,
    counts: { added: 2, skipped: 1 },
    people: ['2065550141 Ana López ana@cedar.example', '2065550142 Bob'],
    ignored: ['Marketing contact status'],
  },
  // a program that sorts uploads by their columns, and the labels of Salesforce's standard fields in a public data model
  Salesforce: {
    file: `\ufeff${lines(
      '"Contact ID","First Name","Last Name","Mailing Street","Mailing City","Mailing State/Province","Mailing Zip/Postal Code","Mailing Country","Phone","Mobile","Email","Do Not Call","Email Opt Out"',
      '"003A","Ana","López","1 Main St","Seattle","WA","98101","US","(206) 555-0199","(206) 555-0141","ana@cedar.example","0","1"',
      '"003B","Bob","","","","","","","","(206) 555-0142","","1","0"',
      '"","","","","","","","","","","","",""',
      '"Contacts report"',
      '"Copyright (c) 2000-2026 salesforce.com, inc. All rights reserved."',
    )}`,
    query: `${ignore}&columns[Mobile]=phone_number`,
    counts: { added: 2, opted_out: 1, skipped: 2 },
    people: ['2065550141 Ana López ana@cedar.example 98101', '2065550142 unsubscribed Bob'],
    ignored: ['Phone', 'Email Opt Out'],
  },
  // a program that reads the contacts of Wix sites, and its test
  Wix: {
    file: lines(
      '"First Name","Last Name","Email 1","Email 2","Phone 1","Phone 2","Address 1 - Street","Address 1 - State/Region","Address 1 - Zip","Address 1 - Country","Labels","Created At (UTC+0)","Email subscriber status","SMS subscriber status","Last Activity","Last Activity Date (UTC+0)","Source","Language","Linked Locations"',
      '"Ana","López","ana@cedar.example","","\'+1 206-555-0141","206-555-0199","1 Main St","WA","98101","US","Customers","2024-01-02 10:00","Unsubscribed","Subscribed","Form","2024-01-02 10:00","Site form","en",""',
      '"Bob","","bob@cedar.example","","2065550142","","","","","","","2024-01-02 10:00","Subscribed","Unsubscribed","","","Import","en",""',
      '"Cleo","","","","2065550143","","","","","","","2024-01-02 10:00","Subscribed","Never subscribed","","","Import","en",""',
    ),
    query: ignore,
    counts: { added: 2, opted_out: 1, skipped: 1 },
    people: ['2065550141 Ana López ana@cedar.example 98101', '2065550142 unsubscribed Bob bob@cedar.example'],
    ignored: ['Email subscriber status'],
  },
  // a program that merges exports of Constant Contact
  'Constant Contact': {
    file: lines(
      'Email address,First name,Last name,Company,Job title,Phone - home,Email status,Email permission status,Email Lists,Tags,Birthday,Country - Home,Created At,Updated At',
      'ana@cedar.example,Ana,López,,,206-555-0141,Unsubscribed,Opted out,News,"vip,donor",05/06,US,2020-09-25 16:45:13 -0400,2020-09-25 16:45:13 -0400',
      'bob@cedar.example,Bob,,,,,Active,Express,News,,,US,2020-09-25 16:45:13 -0400,2020-09-25 16:45:13 -0400',
    ),
    query: `${ignore}&columns[Phone%20-%20home]=phone_number`,
    counts: { added: 1, skipped: 1, warning_count: 1 },
    people: ['2065550141 Ana López ana@cedar.example vip+donor'],
    ignored: ['Email status', 'Email permission status'],
  },
  // a program that converts members of a church to the import and export form of Planning Center
  'Planning Center': {
    file: lines(
      'Name Prefix,Given Name,First Name,Middle Name,Last Name,Name Suffix,Birthdate,Anniversary,Gender,Medical,Marital Status,Status,Membership,Home Address Street Line 1,Home Address City,Home Address State,Home Address Zip,Mobile Phone Number,Home Phone Number,Work Phone Number,Other Phone Number,Mobile Carrier,Home Email,Household ID,Campus',
      ',,Ana,,López,,05/06/1980,,Female,,Married,Active,Member,1 Main St,Seattle,WA,98101,(206) 555-0141,,,,Verizon,ana@cedar.example,12,North',
      ',,Bob,,,,,,M,,,inactive,Visitor,,,,,(206) 555-0142,,,,,,13,North',
    ),
    query: ignore,
    counts: { added: 1, skipped: 1 },
    people: ['2065550141 Ana López 98101 19800506 Female'],
  },
  // the documentation of a program that matches the columns of forms and lead ads
  'lead ads of Facebook': {
    file: lines(
      'id,created_time,ad_name,form_name,full_name,email,phone_number',
      'l:1,2026-05-01T10:00:00,Members,Form,Ana López,ana@cedar.example,p:+12065550141',
      'l:2,2026-05-01T11:00:00,Members,Form,Bob,bob@cedar.example,',
    ),
    query: ignore,
    counts: { added: 1, skipped: 1 },
    people: ['2065550141 ana@cedar.example'],
  },
  // two programs that reduce reports of Eventbrite's attendees
  Eventbrite: {
    file: lines(
      'Order no.,Order Date,First Name,Surname,Email,Quantity,Price Tier,Ticket Type,Attendee no.,Group,Order Type,Currency,Total Paid,Fees Paid,Eventbrite Fees,Eventbrite Payment Processing,Attendee Status,Mobile Phone,Birth Date,Shipping Postcode,Billing Postcode',
      '901,2026-05-01 10:00,Ana,López,ana@cedar.example,1,,Member,1,,Free,USD,0.00,0.00,0.00,0.00,Attending,206-555-0141,1980-05-06,,98101',
      '902,2026-05-01 10:05,Bob,,bob@cedar.example,1,,Guest,2,,Free,USD,0.00,0.00,0.00,0.00,Not Attending,206-555-0142,,,',
    ),
    query: ignore,
    counts: { added: 2 },
    people: ['2065550141 Ana López ana@cedar.example 98101 19800506', '2065550142 Bob bob@cedar.example'],
  },
}

test.each(Object.entries(files))('imports an export of %s', async (_name, file) => {
  await expectExport(file)
})

test('the phone and the mobile of Salesforce are two phone numbers, and the request chooses', async () => {
  const { status, body } = await upload(await makeList(), files.Salesforce?.file ?? '', { query: ignore })
  expect([status, body.error]).toEqual([
    422,
    expect.stringContaining('two columns for phone_number: "Phone", "Mobile"'),
  ])
})
