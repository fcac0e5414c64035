package console

import (
	"slices"
	"strings"

	"broker/api/client"
	"broker/api/types"
)

// mostPicked is how many names a field offers; others can be typed.
const mostPicked = 200

// addSuffix ends the name of the input beside a text area from which names are picked into it.
const addSuffix = ".add"

// picks are what fields are picked from: the names of a noun that the session may list, each with what it is.
func picks() map[string]func(*page) ([]choice, error) {
	return map[string]func(*page) ([]choice, error){
		"account":    pickAccounts,
		"group":      pickGroups,
		"connection": pickConnections,
		"secret":     pickSecrets,
		"place":      pickPlaces,
		"scope":      func(p *page) ([]choice, error) { return pickAll(p, pickPlaces, pickSecrets) },
		"resource": func(p *page) ([]choice, error) {
			return pickAll(p, pickSecrets, pickEnvironments, pickConnectionResources)
		},
	}
}

// pickRoutes serve the options of a field's list, which console.js asks for when somebody goes to the field: pages need not
// read them, and are as good without.
func (c *Console) pickRoutes() {
	for of, find := range picks() {
		c.get("/ui/pick/"+of, func(p *page) error {
			found, err := find(p)
			if err != nil {
				return err
			}
			return p.show(screen{Title: "Names", Template: "picks", Data: found[:min(mostPicked, len(found))], Bare: true})
		})
	}
}

// pickAll puts several lists together.
func pickAll(p *page, lists ...func(*page) ([]choice, error)) ([]choice, error) {
	var all []choice
	for _, one := range lists {
		found, err := one(p)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

// picked makes options of what a list holds. Who may list nothing picks from nothing.
func picked[T any](list func(client.ListOptions) (types.Page[T], error), option func(T) choice) ([]choice, error) {
	found, err := list(client.ListOptions{Limit: mostPicked})
	if err != nil && client.Code(err) != "forbidden" {
		return nil, err
	}
	var all []choice
	for _, one := range found.Items {
		all = append(all, option(one))
	}
	return all, nil
}

func pickAccounts(p *page) ([]choice, error) {
	if !p.May("account:list", "account") {
		return []choice{{p.Account, "you"}}, nil
	}
	return picked(func(list client.ListOptions) (types.Page[types.Account], error) {
		return p.Client.ListAccounts(p.ctx, list)
	},
		func(one types.Account) choice { return choice{one.Name, one.Description} })
}

func pickGroups(p *page) ([]choice, error) {
	if !p.May("group:list", "group") {
		return nil, nil
	}
	return picked(func(list client.ListOptions) (types.Page[types.Group], error) {
		return p.Client.ListGroups(p.ctx, list)
	},
		func(one types.Group) choice { return choice{one.Name, one.Description} })
}

func pickConnections(p *page) ([]choice, error) {
	if !p.May("connection:list", "connection") {
		return nil, nil
	}
	return picked(func(list client.ListOptions) (types.Page[types.Connection], error) {
		return p.Client.ListConnections(p.ctx, list)
	}, func(one types.Connection) choice { return choice{one.Name, one.Description} })
}

func pickConnectionResources(p *page) ([]choice, error) {
	all, err := pickConnections(p)
	for i := range all {
		all[i].Value = "connection/" + all[i].Value
	}
	return all, err
}

func pickSecrets(p *page) ([]choice, error) {
	return picked(func(list client.ListOptions) (types.Page[types.Secret], error) {
		return p.Client.ListSecrets(p.ctx, "", list)
	},
		func(one types.Secret) choice { return choice{one.FullName, one.Description} })
}

func pickEnvironments(p *page) ([]choice, error) {
	return picked(func(list client.ListOptions) (types.Page[types.Environment], error) {
		return p.Client.ListEnvironments(p.ctx, list)
	},
		func(one types.Environment) choice { return choice{one.Name, one.Description} })
}

// pickPlaces are the environments, the apps that they are of, and everywhere.
func pickPlaces(p *page) ([]choice, error) {
	found, err := pickEnvironments(p)
	if err != nil {
		return nil, err
	}
	all := []choice{{"*", "everywhere"}}
	for _, one := range found {
		app, _, _ := strings.Cut(one.Value, "/")
		if whole := (choice{app + "/*", "every environment of " + app}); !slices.Contains(all, whole) {
			all = append(all, whole)
		}
		all = append(all, one)
	}
	return all, nil
}
