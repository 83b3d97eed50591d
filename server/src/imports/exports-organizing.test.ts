import { expect, test } from 'vitest'
import { useApi } from '../../test/api.ts'
import { type ExportFile, lines, useImports } from '../../test/imports-api.ts'

// Complete export files of organizing and fundraising tools, with invented people. The names of the columns are those of
// public programs that read such files; each entry says which.

const { upload, expectExport, makeList } = useImports(useApi())
const ignore = '?unknown_columns=ignore'

const files: Record<string, ExportFile> = {
  // the vendor's own export, of which the contract has an example
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
  // a program that loads the whole export into a database; its unsubscribed_at is about e-mail
  NationBuilder: {
    file: lines(
      'nationbuilder_id,external_id,van_id,prefix,first_name,middle_name,last_name,suffix,full_name,email,email_opt_in,email1,email1_is_bad,unsubscribed_at,phone_number,work_phone_number,mobile_number,mobile_opt_in,is_mobile_bad,fax_number,do_not_call,do_not_contact,federal_donotcall,primary_city,primary_state,primary_zip,tag_list,note,employer,sex,born_at,created_at',
      '1,,,,Ana,,López,,Ana López,ana@cedar.example,true,ana@cedar.example,false,2024-05-05,2065550199,,2065550141.0,true,false,,false,false,false,Seattle,WA,98101,"vip, donor",,,F,1980-05-06,2024-01-02',
      '2,,,,Bob,,,,Bob,,true,,false,,,,2065550142,true,false,,false,true,false,,,,,,,M,,2024-01-02',
      '3,,,,Cleo,,,,Cleo,,true,,false,,,,2065550143,true,true,,false,false,true,,,,,,,F,,2024-01-02',
      '4,,,,Dan,,,,Dan,,true,,false,,,,2065550144,false,false,,false,false,false,,,,,,,M,,2024-01-02',
    ),
    query: `${ignore}&columns[mobile_number]=phone_number&columns[federal_donotcall]=ignore&columns[unsubscribed_at]=ignore`,
    counts: { added: 3, opted_out: 1, cleaned: 1, skipped: 1 },
    people: [
      '2065550141 Ana López ana@cedar.example 98101 19800506 Female vip+donor',
      '2065550142 unsubscribed Bob Male',
      '2065550143 cleaned Cleo Female',
    ],
    ignored: ['email_opt_in', 'unsubscribed_at', 'federal_donotcall', 'phone_number'],
  },
  // two programs that read reports of Action Network; one has can2_phone, the other a custom field for the number
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
    ignored: ['can2_subscription_status'],
  },
  // three programs with the list of all columns; Mobile says whether the gift came from a phone
  ActBlue: {
    file: lines(
      'Receipt ID,Date,Amount,Recurring Total Months,Recurrence Number,Recipient,Fundraising Page,Fundraising Partner,Reference Code 2,Reference Code,Donor First Name,Donor Last Name,Donor Addr1,Donor Addr2,Donor City,Donor State,Donor ZIP,Donor Country,Donor Occupation,Donor Employer,Donor Email,Donor Phone,New Express Signup,Comments,Employer ZIP,Donor ID,Fundraiser Contact Email,Fundraiser Contact First Name,Reserved,Lineitem ID,Reserved,Refund Date,ActBlue Express Lane,Mobile,Recurring Upsell Shown,ActBlue Express Donor,Custom Field 1 Label,Custom Field 1 Value,Text Message Opt In,Gift Identifier,Gift Declined,Shipping Zip,Weekly Recurring Amount',
      'AB1,2024-01-02 10:00:00,25.00,,,Cedar,page,,,web,Ana,López,1 Main St,,Seattle,WA,02134-1000,United States,Nurse,"Cedar, Inc.",ana@cedar.example,2065550141,No,,,7,owner@cedar.example,Olga,,1,,,No,Yes,No,No,,,Yes,,,99999,',
      'AB2,2024-02-02 10:00:00,30.00,,,Cedar,page,,,web,Ana,López,1 Main St,,Seattle,WA,02134,United States,Nurse,"Cedar, Inc.",ana@cedar.example,12065550141,No,,,7,owner@cedar.example,Olga,,2,,,No,No,No,No,,,Yes,,,,',
      'AB3,2024-02-03 10:00:00,5.00,,,Cedar,page,,,web,Bob,,,,,,,,,,,2065550142,No,,,8,owner@cedar.example,Olga,,3,,,No,Yes,No,No,,,No,,,,',
    ),
    query: `${ignore}&columns[Donor%20Phone]=phone_number`,
    counts: { added: 1, skipped: 2 },
    people: ['2065550141 Ana López ana@cedar.example 02134'],
    ignored: ['Mobile', 'Fundraiser Contact Email'],
  },
  // a program that reads VoteBuilder's lists, which are separated by tabs
  'NGP VAN': {
    file: Buffer.from(
      `\ufeff${lines(
        'Voter File VANID\tLastName\tFirstName\tMiddleName\tSuffix\tAge\tSex\tvAddress\tCity\tState\tZip5\tCell Phone\tParty',
        '1001\tLópez\tAna\t\t\t44\tF\t1 Main St\tSeattle\tWA\t98101\t2065550141\tD',
        '1002\t\tBob\t\t\t50\tM\t\t\t\t\t\tD',
      )}`,
      'utf16le',
    ),
    query: ignore,
    counts: { added: 1, skipped: 1 },
    people: ['2065550141 Ana López 98101 Female'],
  },
}

test.each(Object.entries(files))('imports an export of %s', async (_name, file) => {
  await expectExport(file)
})

test('the column Mobile of ActBlue is named as a second phone number, not read as one', async () => {
  const { status, body } = await upload(await makeList(), files.ActBlue?.file ?? '', { query: ignore })
  const expected = 'two columns for phone_number: "Donor Phone", "Mobile"'
  expect([status, body.error]).toEqual([422, expect.stringContaining(expected)])
})
