package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"broker/api/types"
)

func (a *app) providerCommand() *cobra.Command {
	noun := &cobra.Command{
		Use:     "provider",
		Aliases: []string{"providers"},
		Short:   "Providers: the kinds of outside systems",
	}
	noun.AddCommand(a.providerList(), a.providerGet())
	return noun
}

func (a *app) providerList() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List providers",
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			page, err := c.ListProviders(cmd.Context())
			if err != nil {
				return err
			}
			return list(a, page.Items, func(p types.Provider) string { return p.Name },
				[]string{"NAME", "TITLE", "SUMMARY"},
				func(p types.Provider) []string { return []string{p.Name, p.Title, p.Summary} })
		},
	}
}

func (a *app) providerGet() *cobra.Command {
	return &cobra.Command{
		Use:               "get NAME",
		Aliases:           []string{"show"},
		Short:             "Show the fields, options and outputs of a provider",
		Args:              exactly("NAME"),
		ValidArgsFunction: a.complete(providerNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			found, err := c.GetProvider(cmd.Context(), args[0])
			if err != nil {
				return a.unknownProvider(cmd, c, args[0], err)
			}
			if a.format != "table" || a.field != "" {
				return a.show(found, found.Name, nil)
			}
			if !a.terminal {
				return a.showInPipe(found)
			}
			fmt.Fprintf(a.out, "%s (%s): %s\n", found.Title, found.Name, found.Summary)
			for _, one := range abilities(found) {
				fmt.Fprintf(a.out, "  %s\n", one)
			}
			a.showFields("Settings of a connection (connection create --set)", found.Connection)
			a.showFields("Options of a secret (secret create --set)", found.Options)
			if len(found.Parameters) > 0 {
				a.showFields("Parameters of a request for a lease (lease issue --param)", found.Parameters)
			}
			fmt.Fprintf(a.out, "\nOutputs of a lease (secret create --output KEY=FIELD)\n")
			for _, one := range found.Outputs {
				fmt.Fprintf(a.out, "  %-24s %s\n", one.Name, clean(one.Help))
			}
			return nil
		},
	}
}

// abilities says in sentences what a provider can do and what not.
func abilities(p types.Provider) []string {
	var out []string
	say := func(is bool, text string) {
		if is {
			out = append(out, text)
		}
	}
	say(p.Fixed, "Its leases cannot be renewed: the end of a credential is fixed as it is made.")
	say(p.NativeExpiry, "The system ends a login by itself after the lease's end.")
	say(!p.NativeExpiry, "The system ends no login by itself: the broker has to.")
	say(p.Rotates, "The broker can exchange the root credential.")
	return out
}

func (a *app) showFields(title string, fields []types.Field) {
	fmt.Fprintf(a.out, "\n%s\n", title)
	for _, one := range fields {
		fmt.Fprintf(a.out, "  %-24s %s\n", one.Name+" ("+string(one.Type)+")", clean(strings.Join(append([]string{one.Help}, traits(one)...), " ")))
	}
}

// traits are what else is to know about a field.
func traits(field types.Field) []string {
	var out []string
	if field.Required {
		out = append(out, "Required.")
	}
	if field.Secret {
		out = append(out, "Secret.")
	}
	if field.Default != nil {
		out = append(out, fmt.Sprintf("Default: %v.", field.Default))
	}
	if len(field.Enum) > 0 {
		out = append(out, "One of "+strings.Join(field.Enum, ", ")+".")
	}
	if field.Example != "" {
		out = append(out, "Example: "+field.Example)
	}
	return out
}

// showInPipe prints a line for each field, with columns for its name, its type and what is to know about it.
func (a *app) showInPipe(p types.Provider) error {
	table := a.table()
	line := func(title string, columns ...string) {
		for i := range columns {
			columns[i] = clean(columns[i])
		}
		fmt.Fprintf(table, "%s\t%s\n", a.title(title), strings.Join(columns, "\t"))
	}
	line("Name", p.Name)
	line("Title", p.Title)
	line("Summary", p.Summary)
	for _, one := range abilities(p) {
		line("Ability", one)
	}
	fields := func(title string, of []types.Field) {
		for _, one := range of {
			line(title, one.Name, string(one.Type), strings.Join(append([]string{one.Help}, traits(one)...), " "))
		}
	}
	fields("Setting", p.Connection)
	fields("Option", p.Options)
	fields("Parameter", p.Parameters)
	for _, one := range p.Outputs {
		line("Output", one.Name, one.Help)
	}
	return table.Flush()
}
