import { expect, test } from 'vitest'
import { useApi } from '../../test/api.ts'
import { useImports } from '../../test/imports-api.ts'

// Complete export files in the layouts of other products, with invented people.

const ctx = useApi()
const { makeList, importFile } = useImports(ctx)

type Export = {
  file: string | Buffer
  query?: string
  /** The counts that are not zero. */
  counts: Record<string, number>
  /** The people on the list: number, state unless subscribed, and profile. */
  people: string[]
}

const lines = (...rows: string[]) => `${rows.join('\r\n')}\r\n`
const ignore = '?unknown_columns=ignore'

const files: Record<string, Export> = {
  'the subscribers of momoGood': {
    file: lines(
      'report_run_date,owner_account_id,company_name,list_id,list_name,subscriber_id,phone_number,carrier,tags,status,subscribed_at,unsubscribed_at,cleaned_at,opt_in_method,most_recent_opt_in,api_source',
      '2026-11-01,5,Cedar,12,News,901,2065550141,77,"vip,donor",Subscribed,2024-01-02T10:00:00-08:00,,,keyword,2024-01-02T10:00:00-08:00,',
      '2026-11-01,5,Cedar,12,News,902,2065550142,77,,Unsubscribed,2024-01-02T10:00:00-08:00,2025-03-04T10:00:00-08:00,,keyword,2024-01-02T10:00:00-08:00,',
      '2026-11-01,5,Cedar,12,News,903,2065550143,77,,Cleaned,2024-01-02T10:00:00-08:00,,2025-05-05T10:00:00-08:00,api,2024-01-02T10:00:00-08:00,web',
    ),
    counts: { added: 3, opted_out: 1, cleaned: 1 },
    people: ['2065550141 vip+donor', '2065550142 unsubscribed', '2065550143 cleaned'],
  },
  Mailchimp: {
    file: lines(
      '"Email Address","First Name","Last Name",Address,"Phone Number",Birthday,MEMBER_RATING,OPTIN_TIME,OPTIN_IP,CONFIRM_TIME,CONFIRM_IP,LATITUDE,LONGITUDE,GMTOFF,DSTOFF,TIMEZONE,CC,REGION,LAST_CHANGED,LEID,EUID,NOTES,TAGS',
      'ana@cedar.example,Ana,López,"1 Main St  Seattle WA 98101",(206) 555-0141,05/06,3,"2023-04-05 10:11:12",,"2023-04-05 10:11:12",203.0.113.7,47.6,-122.3,-8,-7,US/Pacific,US,WA,"2024-01-01 00:00:00",1,abc,,"""vip"",""web form"""',
      'bob@cedar.example,Bob,,,,,2,,,,,,,,,,,,"2024-01-01 00:00:00",2,abd,,',
    ),
    query: ignore,
    counts: { added: 1, skipped: 1, warning_count: 1 },
    people: ['2065550141 Ana López ana@cedar.example vip+web form'],
  },
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
  },
  Shopify: {
    file: lines(
      'Customer ID,First Name,Last Name,Email,Accepts Email Marketing,Default Address Company,Default Address Address1,Default Address Address2,Default Address City,Default Address Province Code,Default Address Country Code,Default Address Zip,Default Address Phone,Phone,Accepts SMS Marketing,Total Spent,Total Orders,Note,Tax Exempt,Tags',
      "'7001,Ana,López,ana@cedar.example,no,,1 Main St,,Seattle,WA,US,'02134,(206) 555-0199,'+12065550141,yes,10.00,1,,no,vip",
      "'7002,Bob,,bob@cedar.example,yes,,,,,,,,,'+12065550142,no,0.00,0,,no,",
    ),
    query: ignore,
    counts: { added: 1, skipped: 1 },
    people: ['2065550141 Ana López ana@cedar.example 02134 vip'],
  },
  'Google Contacts': {
    file: lines(
      'First Name,Middle Name,Last Name,Phonetic First Name,Phonetic Middle Name,Phonetic Last Name,Name Prefix,Name Suffix,Nickname,File As,Organization Name,Organization Title,Organization Department,Birthday,Notes,Photo,Labels,E-mail 1 - Label,E-mail 1 - Value,Phone 1 - Label,Phone 1 - Value,Phone 2 - Label,Phone 2 - Value',
      'Ana,,López,,,,,,,,,,,1980-05-06,,,* myContacts,* Home,ana@cedar.example,Mobile,+1 206-555-0141,Work,206-555-0199',
      'Bob,,,,,,,,,,,,,,"line one\nline two",,* myContacts,,,Mobile,206\u2011555\u20110142,,',
    ),
    query: ignore,
    counts: { added: 2 },
    people: ['2065550141 Ana López ana@cedar.example 19800506', '2065550142 Bob'],
  },
  Outlook: {
    file: Buffer.from(
      lines(
        'First Name,Middle Name,Last Name,Title,Suffix,Nickname,E-mail Address,E-mail 2 Address,E-mail 3 Address,Home Phone,Home Phone 2,Business Phone,Mobile Phone,Home Street,Home City,Home State,Home Postal Code,Company,Gender,Birthday,Notes',
        'Ana,,López,,,,ana@cedar.example,,,206-555-0198,,206-555-0199,(206) 555-0141,1 Main St,Seattle,WA,98101-1234,,Unspecified,5/6/1980,',
        'Bob,,,,,,,,,,,,1.206.555.0142,,,,,,Unspecified,0/0/00,',
      ),
      'latin1',
    ),
    query: ignore,
    counts: { added: 2, warning_count: 3 },
    people: ['2065550141 Ana López ana@cedar.example 98101 19800506', '2065550142 Bob'],
  },
  HubSpot: {
    file: lines(
      'Record ID,First Name,Last Name,Email,Phone Number,Mobile Phone Number,Contact owner,Lead Status,Marketing contact status,Create Date,Postal Code,Date of birth',
      '101,Ana,López,ana@cedar.example,(206) 555-0199,+1 206 555 0141,Dee,NEW,Marketing contact,2024-01-02 10:00,98101,1980-05-06',
      '102,Bob,,,206-555-0142,,Dee,,Non-marketing contact,2024-01-02 10:00,,',
    ),
    query: `${ignore}&columns[Mobile%20Phone%20Number]=phone_number`,
    counts: { added: 1, skipped: 1 },
    people: ['2065550141 Ana López ana@cedar.example 98101 19800506'],
  },
  Salesforce: {
    file: Buffer.from(
      `\ufeff${lines(
        '"First Name","Last Name","Account Name","Mobile","Email","Mailing Zip/Postal Code","Do Not Call","Email Opt Out"',
        '"Ana","López","Cedar","(206) 555-0141","ana@cedar.example","98101","0","1"',
        '"Bob","","Cedar","(206) 555-0142","","","1","0"',
      )}`,
    ),
    query: ignore,
    counts: { added: 2, opted_out: 1 },
    people: ['2065550141 Ana López ana@cedar.example 98101', '2065550142 unsubscribed Bob'],
  },
  NationBuilder: {
    file: lines(
      'nationbuilder_id,external_id,prefix,first_name,middle_name,last_name,suffix,email,email_opt_in,phone_number,work_phone_number,mobile_number,is_mobile_bad,mobile_opt_in,do_not_call,do_not_contact,federal_donotcall,sex,born_at,primary_zip,tag_list',
      '1,,,Ana,,López,,ana@cedar.example,true,2065550199,,2065550141.0,false,true,false,false,false,F,1980-05-06,98101,"vip, donor"',
      '2,,,Bob,,,,,true,,,2065550142,false,true,false,true,false,M,,,',
      '3,,,Cleo,,,,,true,,,2065550143,true,true,false,false,true,F,,,',
      '4,,,Dan,,,,,true,,,2065550144,false,false,false,false,false,M,,,',
    ),
    query: `${ignore}&columns[mobile_number]=phone_number&columns[federal_donotcall]=ignore`,
    counts: { added: 3, opted_out: 1, cleaned: 1, skipped: 1 },
    people: [
      '2065550141 Ana López ana@cedar.example 98101 19800506 Female vip+donor',
      '2065550142 unsubscribed Bob Male',
      '2065550143 cleaned Cleo Female',
    ],
  },
  'Action Network': {
    file: lines(
      'uuid,first_name,last_name,email,can2_phone,can2_user_address,can2_user_city,can2_user_state,zip_code,County,can2_user_tags,can2_subscription_status,can2_sms_status',
      '1a,Ana,López,ana@cedar.example,12065550141,,Seattle,WA,98101,King,"vip, donor",unsubscribed,subscribed',
      '1b,Bob,,bob@cedar.example,12065550142,,,,,,,subscribed,unsubscribed',
      '1c,Cleo,,cleo@cedar.example,,,,,,,,subscribed,',
    ),
    query: ignore,
    counts: { added: 2, opted_out: 1, skipped: 1 },
    people: ['2065550141 Ana López ana@cedar.example 98101 vip+donor', '2065550142 unsubscribed Bob bob@cedar.example'],
  },
  ActBlue: {
    file: lines(
      'Receipt ID,Date,Amount,Recurring Total Months,Recurrence Number,Recipient,Fundraising Page,Fundraising Partner,Reference Code,Donor First Name,Donor Last Name,Donor Addr1,Donor City,Donor State,Donor ZIP,Donor Country,Donor Occupation,Donor Employer,Donor Email,Donor Phone,Text Message Opt In',
      'AB1,2024-01-02 10:00:00,25.00,,,Cedar,page,,,Ana,López,1 Main St,Seattle,WA,02134-1000,United States,Nurse,"Cedar, Inc.",ana@cedar.example,2065550141,Yes',
      'AB2,2024-02-02 10:00:00,30.00,,,Cedar,page,,,Ana,López,1 Main St,Seattle,WA,02134,United States,Nurse,"Cedar, Inc.",ana@cedar.example,12065550141,Yes',
      'AB3,2024-02-03 10:00:00,5.00,,,Cedar,page,,,Bob,,,,,,,,,,2065550142,No',
    ),
    query: ignore,
    counts: { added: 1, skipped: 2 },
    people: ['2065550141 Ana López ana@cedar.example 02134'],
  },
}

const countNames = [
  'added',
  'updated',
  'unchanged',
  'kept_opted_out',
  'skipped',
  'opted_out',
  'cleaned',
  'warning_count',
]

test.each(Object.entries(files))('imports an export of %s', async (_name, { file, query = '', counts, people }) => {
  const listId = await makeList()
  const view = await importFile(listId, file, { query })
  expect(view).toMatchObject({
    status: 'done',
    ...Object.fromEntries(countNames.map((name) => [name, counts[name] ?? 0])),
  })
  expect(view.processed_rows).toBe(view.total_rows)
  expect(await findPeople(listId)).toEqual(people)
})

async function findPeople(listId: number): Promise<string[]> {
  const rows = await ctx.db.many<{ person: string }>(
    'test_people',
    `select concat_ws(' ', phone, nullif(state, 'subscribed'), nullif(first_name, ''), nullif(last_name, ''), nullif(email, ''),
                      nullif(zip_code, ''), nullif(birthdate, ''), gender, nullif(array_to_string(tags, '+'), '')) as person
       from subscribers where list_id = $1 order by phone`,
    [listId],
  )
  return rows.map(({ person }) => person)
}
