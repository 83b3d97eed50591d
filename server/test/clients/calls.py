"""Calls a running Carillon with the client that openapi-python-client has generated. Prints OK, or fails."""

import os
from io import BytesIO

from carillon_client import AuthenticatedClient
from carillon_client.api.custom_fields import create_custom_field
from carillon_client.api.imports import create_import
from carillon_client.api.lists import create_list, delete_list, get_list, list_lists, patch_list
from carillon_client.api.subscribers import add_subscriber, get_subscriber
from carillon_client.models import (
    AddSubscriberBody,
    CreateCustomFieldBody,
    CreateListBody,
    CustomFieldCreation,
    ErrorResponse,
    Hours,
    ListChange,
    ListCreation,
    SubscriberCreation,
    UpdateListBody,
)
from carillon_client.types import File
from httpx import BasicAuth

PHONE = "2065550147"


def check(condition, found):
    if not condition:
        raise AssertionError(found)


client = AuthenticatedClient(
    base_url=os.environ["CARILLON_URL"],
    token="",
    httpx_args={"auth": BasicAuth("python", os.environ["CARILLON_KEY"])},
)

creation = ListCreation(name="Python clients", quiet_hours=False, send_hours=Hours(from_="09:00", to="20:00"))
created = create_list.sync(client=client, body=CreateListBody(list_=creation))
check(created.list_.id > 0 and created.list_.send_hours.to == "20:00", created)
check(created.list_.message_help is None, created)
list_id = created.list_.id

# null removes the hours, and absent keys do not change
updated = patch_list.sync(list_id, client=client, body=UpdateListBody(list_=ListChange(send_hours=None)))
check(updated.list_.send_hours is None and updated.list_.name == "Python clients", updated)

lists = list_lists.sync(client=client, per_page=100)
check(lists.count == len(lists.lists) and list_id in [each.id for each in lists.lists], lists)

field = CustomFieldCreation(label="Team", key="team", content_type="text", max_length=20)
check(create_custom_field.sync(list_id, client=client, body=CreateCustomFieldBody(custom_field=field)).status == "OK", field)

person = SubscriberCreation(phone_number=PHONE, first_name="Marisol", tags=["vip", "local"], bypass_opt_in_process=True)
person["team"] = "north"
added = add_subscriber.sync(list_id, client=client, body=AddSubscriberBody(subscriber=person))
check(added.subscriber.phone_number == PHONE, added)

found = get_subscriber.sync(list_id, PHONE, client=client).subscriber
check(found.first_name == "Marisol" and found.tags == ["vip", "local"] and found["team"] == "north", found)
check(found.subscribed_at.tzinfo is not None and found.opted_out_at is None, found)

with open(os.environ["CARILLON_CSV"], "rb") as file:
    queued = create_import.sync(list_id, client=client, body=File(payload=BytesIO(file.read())))
check(queued.import_.total_rows == 2, queued)

unknown = get_subscriber.sync_detailed(list_id, "2065550199", client=client)
check(unknown.status_code == 404 and isinstance(unknown.parsed, ErrorResponse), unknown)

check(delete_list.sync(list_id, client=client).status == "List Destroyed", list_id)
deleted = get_list.sync(list_id, client=client)
check(isinstance(deleted, ErrorResponse) and deleted.code == "list_not_found", deleted)
print("OK")
