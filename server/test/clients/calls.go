// Calls a running Carillon with the client that openapi-generator has generated for Go. Prints OK, or the first fault.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	carillon "example.org/carillon/carillon-go"
)

const phone = "2065550147"

func main() {
	configuration := carillon.NewConfiguration()
	configuration.Servers = carillon.ServerConfigurations{{URL: os.Getenv("CARILLON_URL")}}
	client := carillon.NewAPIClient(configuration)
	account := carillon.BasicAuth{UserName: "go", Password: os.Getenv("CARILLON_KEY")}
	if err := call(context.WithValue(context.Background(), carillon.ContextBasicAuth, account), client); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("OK")
}

func call(ctx context.Context, client *carillon.APIClient) error {
	creation := carillon.NewListCreation("Go clients")
	creation.SetQuietHours(false)
	creation.SetSendHours(*carillon.NewHours("09:00", "20:00"))
	created, _, err := client.ListsAPI.CreateList(ctx).CreateListBody(*carillon.NewCreateListBody(*creation)).Execute()
	if err != nil {
		return fmt.Errorf("createList: %w", err)
	}
	list := created.GetList()
	if list.GetId() <= 0 || !list.SendHours.IsSet() || list.MessageHelp.Get() != nil {
		return fmt.Errorf("createList returned %+v", list)
	}

	// null removes the hours, and absent keys do not change
	change := carillon.NewListChange()
	change.SetSendHoursNil()
	update := client.ListsAPI.PatchList(ctx, list.GetId()).UpdateListBody(*carillon.NewUpdateListBody(*change))
	updated, _, err := update.Execute()
	if err != nil {
		return fmt.Errorf("patchList: %w", err)
	}
	if list := updated.GetList(); list.SendHours.Get() != nil || list.GetName() != "Go clients" {
		return fmt.Errorf("patchList returned %+v", list)
	}

	lists, _, err := client.ListsAPI.ListLists(ctx).PerPage(100).Execute()
	if err != nil {
		return fmt.Errorf("listLists: %w", err)
	}
	if lists.GetCount() < 2 || int(lists.GetCount()) != len(lists.GetLists()) {
		return fmt.Errorf("listLists returned %d of %d lists", len(lists.GetLists()), lists.GetCount())
	}

	if err := callSubscribers(ctx, client, list.GetId()); err != nil {
		return err
	}
	if _, _, err := client.ListsAPI.DeleteList(ctx, list.GetId()).Execute(); err != nil {
		return fmt.Errorf("deleteList: %w", err)
	}
	_, response, err := client.ListsAPI.GetList(ctx, list.GetId()).Execute()
	var failure *carillon.GenericOpenAPIError
	if !errors.As(err, &failure) || response.StatusCode != 404 {
		return fmt.Errorf("getList of a deleted list returned %v", err)
	}
	if model, ok := failure.Model().(carillon.ErrorResponse); !ok || model.GetCode() != "list_not_found" {
		return fmt.Errorf("getList of a deleted list returned the error %+v", failure.Model())
	}
	return nil
}

func callSubscribers(ctx context.Context, client *carillon.APIClient, listId int64) error {
	field := carillon.NewCustomFieldCreation("Team", "team", "text")
	field.SetMaxLength(20)
	fieldBody := *carillon.NewCreateCustomFieldBody(*field)
	if _, _, err := client.CustomFieldsAPI.CreateCustomField(ctx, listId).CreateCustomFieldBody(fieldBody).Execute(); err != nil {
		return fmt.Errorf("createCustomField: %w", err)
	}

	creation := carillon.NewSubscriberCreation(phone)
	creation.SetFirstName("Marisol")
	creation.SetTags([]string{"vip", "local"})
	creation.SetBypassOptInProcess(true)
	creation.AdditionalProperties = map[string]interface{}{"team": "north"}
	body := *carillon.NewAddSubscriberBody(*creation)
	if _, _, err := client.SubscribersAPI.AddSubscriber(ctx, listId).AddSubscriberBody(body).Execute(); err != nil {
		return fmt.Errorf("addSubscriber: %w", err)
	}

	found, _, err := client.SubscribersAPI.GetSubscriber(ctx, listId, phone).Execute()
	if err != nil {
		return fmt.Errorf("getSubscriber: %w", err)
	}
	subscriber := found.GetSubscriber()
	if subscriber.GetFirstName() != "Marisol" || strings.Join(subscriber.GetTags(), " ") != "vip local" ||
		subscriber.SubscribedAt.Get() == nil || subscriber.AdditionalProperties["team"] != "north" {
		return fmt.Errorf("getSubscriber returned %+v", subscriber)
	}

	file, err := os.Open(os.Getenv("CARILLON_CSV"))
	if err != nil {
		return err
	}
	queued, _, err := client.ImportsAPI.CreateImport(ctx, listId).Body(file).Execute()
	if err != nil {
		return fmt.Errorf("createImport: %w", err)
	}
	if queuedImport := queued.GetImport(); queuedImport.GetTotalRows() != 2 {
		return fmt.Errorf("createImport returned %+v", queuedImport)
	}

	_, response, err := client.SubscribersAPI.GetSubscriber(ctx, listId, "2065550199").Execute()
	if err == nil || response.StatusCode != 404 {
		return fmt.Errorf("getSubscriber of an unknown number returned %v", err)
	}
	return nil
}
