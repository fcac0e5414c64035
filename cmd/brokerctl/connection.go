package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"broker/api/client"
	"broker/api/types"
)

func (a *app) connectionCommand() *cobra.Command {
	noun := &cobra.Command{
		Use:     "connection",
		Aliases: []string{"connections", "conn"},
		Short:   "Connections to outside systems, with their root credentials",
	}
	noun.AddCommand(a.connectionCreate(), a.connectionGet(), a.connectionList(), a.connectionUpdate(), a.connectionDelete(), a.connectionCheck(),
		a.connectionRotate(), a.connectionPause(), a.connectionResume(), a.connectionHealth(), a.connectionDocument())
	return noun
}

const sweepHelp = "what happens to logins that no lease knows: remove (the default), report or off"

func (a *app) connectionCreate() *cobra.Command {
	var change changeFlags
	var settings settingFlags
	var spec types.ConnectionSpec
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Make a connection, after a check of the outside system",
		Long: "Make a connection, after a check of the outside system.\n\n" + setHelp + `

"brokerctl provider get PROVIDER" lists the fields of a provider. No environment may use a
connection unless --environments names it.`,
		Example: `  brokerctl connection create orders-db --provider postgres --environments 'payments/*' \
      --set host=127.0.0.1 --set port=5432 --set database=orders --set username=broker --set password=@pw.txt`,
		Args: exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if spec.Provider == "" {
				return usage("--provider is required")
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			provider, err := c.GetProvider(cmd.Context(), spec.Provider)
			if err != nil {
				return a.unknownProvider(cmd, c, spec.Provider, err)
			}
			spec.Name = args[0]
			if spec.Settings, err = settings.read(a, provider.Name, provider.Connection); err != nil {
				return err
			}
			made, err := c.CreateConnection(cmd.Context(), spec, change.options()...)
			if err != nil {
				return err
			}
			change.done(a, "created", "connection "+made.Name)
			return a.changed(made, made.Name, made.Warnings)
		},
	}
	cmd.Flags().StringVar(&spec.Provider, "provider", "", "the kind of outside system, e.g. postgres")
	cmd.Flags().StringSliceVar(&spec.Environments, "environments", nil, "environments that may use it: app/env, app/* or *; repeatable or comma-separated")
	cmd.Flags().StringVar(&spec.Description, "description", "", "what it is for")
	cmd.Flags().StringVar(&spec.Sweep, "sweep", "", sweepHelp)
	cmd.Flags().BoolVar(&spec.SkipCheck, "skip-check", false, "save without asking the outside system")
	settings.addTo(cmd, false)
	change.addTo(cmd, false)
	a.completeFlag(cmd, "provider", providerNames)
	a.completeSettings(cmd, settingsOf)
	a.answers(cmd, types.Connection{})
	return cmd
}

func (a *app) connectionGet() *cobra.Command {
	return &cobra.Command{
		Use:               "get NAME",
		Short:             "Show a connection, without its secret fields",
		Args:              exactly("NAME"),
		ValidArgsFunction: a.complete(connectionNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			found, err := c.GetConnection(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			a.warn(found.Warnings...)
			rows := []row{
				{"Name", found.Name},
				{"Provider", found.Provider},
				{"Description", found.Description},
				{"Environments", first(strings.Join(found.Environments, " "), "none")},
				{"System", found.System},
				{"Sweep", found.Sweep},
				{"Paused until", a.full(pointed(found.PausedUntil))},
				{"Pause reason", found.PauseReason},
				{"Being deleted by", found.BeingDeletedBy},
				{"Rotated", a.rotatedText(found.Rotation)},
				{"Rotation", a.rotationText(found.Rotation)},
			}
			rows = append(rows, settingRows("Setting", found.Settings)...)
			return a.show(found, found.Name, append(rows,
				row{"Secret fields", strings.Join(found.SecretFields, " ")},
				row{"Created", a.full(found.CreatedAt)},
				row{"Updated", a.full(found.UpdatedAt)},
				row{"Version", number(found.Version)},
			))
		},
	}
}

func (a *app) connectionList() *cobra.Command {
	var flags listFlags
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List connections",
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			found, err := collect(a, flags, func(o client.ListOptions) ([]types.Connection, string, error) {
				page, err := c.ListConnections(cmd.Context(), o)
				return page.Items, page.NextCursor, err
			})
			if err != nil {
				return err
			}
			return list(a, found, func(one types.Connection) string { return one.Name },
				[]string{"NAME", "PROVIDER", "ENVIRONMENTS", "SYSTEM", "DESCRIPTION"},
				func(one types.Connection) []string {
					return []string{one.Name, one.Provider, strings.Join(one.Environments, " "), one.System, one.Description}
				})
		},
	}
	flags.addTo(cmd)
	return cmd
}

func (a *app) connectionUpdate() *cobra.Command {
	var change changeFlags
	var settings settingFlags
	var wanted types.ConnectionChange
	var description, sweep string
	var environments []string
	cmd := &cobra.Command{
		Use:   "update NAME",
		Short: "Change a connection",
		Long: "Change a connection. Settings that are not given stay.\n\n" + setHelp + `

When a setting that says where the system is changes, --system tells what that means for leases
that exist: "moved", the same system elsewhere, and they follow it; "replaced", another system,
and they stay with the old one. The secret settings have to be given again then: what is kept is not
sent to another place.`,
		Example: `  brokerctl connection update orders-db --set password=@new.txt
  brokerctl connection update orders-db --environments 'payments/*,reports/production'
  brokerctl connection update orders-db --set host=db2.example --set password=@pw.txt --system moved`,
		Args:              exactly("NAME"),
		ValidArgsFunction: a.complete(connectionNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("description") {
				wanted.Description = &description
			}
			if cmd.Flags().Changed("environments") {
				wanted.Environments = &environments
			}
			if cmd.Flags().Changed("sweep") {
				wanted.Sweep = &sweep
			}
			if wanted.Description == nil && wanted.Environments == nil && wanted.Sweep == nil && !settings.given() {
				return usage("nothing to change is given")
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			if settings.given() {
				before, err := c.GetConnection(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				provider, err := c.GetProvider(cmd.Context(), before.Provider)
				if err != nil {
					return err
				}
				if wanted.Settings, err = settings.read(a, provider.Name, provider.Connection); err != nil {
					return err
				}
			}
			changed, err := c.UpdateConnection(cmd.Context(), args[0], wanted, change.options()...)
			if err != nil {
				return err
			}
			change.done(a, "updated", "connection "+changed.Name)
			return a.changed(changed, changed.Name, changed.Warnings)
		},
	}
	cmd.Flags().StringVar(&description, "description", "", "what it is for")
	cmd.Flags().StringSliceVar(&environments, "environments", nil, "environments that may use it, in place of those before")
	cmd.Flags().StringVar(&wanted.System, "system", "", "what changed settings mean: moved or replaced")
	cmd.Flags().StringVar(&sweep, "sweep", "", sweepHelp)
	cmd.Flags().BoolVar(&wanted.SkipCheck, "skip-check", false, "save without asking the outside system")
	settings.addTo(cmd, true)
	a.completeSettings(cmd, settingsOf)
	change.addTo(cmd, true)
	a.answers(cmd, types.Connection{})
	return cmd
}

func (a *app) connectionDelete() *cobra.Command {
	var change changeFlags
	var removal removalFlags
	cmd := &cobra.Command{
		Use:               "delete NAME",
		Aliases:           []string{"rm"},
		Short:             "Delete a connection that no secret uses, or with the secrets that use it and their leases",
		Args:              exactly("NAME"),
		ValidArgsFunction: a.complete(connectionNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.remove(cmd.Context(), &change, &removal, "connection "+args[0], func(c *client.Client, options []client.Option) error {
				return c.DeleteConnection(cmd.Context(), args[0], options...)
			}, func(c *client.Client, options []client.Option) (types.Operation, error) {
				return c.DeleteConnectionWithLeases(cmd.Context(), args[0], removal.reason, options...)
			})
		},
	}
	removal.addTo(cmd, "the secrets that use it")
	change.addTo(cmd, true)
	return cmd
}

func (a *app) connectionCheck() *cobra.Command {
	return &cobra.Command{
		Use:               "check NAME",
		Short:             "Ask the outside system whether the connection works",
		Args:              exactly("NAME"),
		ValidArgsFunction: a.complete(connectionNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			found, err := c.CheckConnection(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			a.warn(found.Warnings...)
			a.note("connection %s works", found.Connection)
			return a.show(found, found.Connection, []row{{"Connection", found.Connection}, {"System", found.System}})
		},
	}
}

// unknownProvider adds the likely name to the error about a provider that is not there.
func (a *app) unknownProvider(cmd *cobra.Command, c *client.Client, name string, err error) error {
	if client.Code(err) != "not_found" {
		return err
	}
	names, listErr := providerNames(cmd.Context(), c)
	if listErr != nil {
		return err
	}
	hint := "there is " + strings.Join(names, ", ")
	if likely := nearest(name, names); likely != "" {
		hint = fmt.Sprintf("did you mean %q?", likely)
	}
	return &hintedError{err: err, hint: hint}
}

// settingRows shows settings sorted by name, texts as they are and everything else as JSON.
func settingRows(title string, settings map[string]any) []row {
	names := make([]string, 0, len(settings))
	for name := range settings {
		names = append(names, name)
	}
	slices.Sort(names)
	var rows []row
	for _, name := range names {
		text, ok := settings[name].(string)
		if !ok {
			encoded, err := json.Marshal(settings[name])
			if err != nil {
				continue // it came from JSON, so this cannot happen
			}
			text = string(encoded)
		}
		rows = append(rows, row{title, name + " = " + text})
	}
	return rows
}

func number[N uint64 | int](n N) string { return strconv.FormatInt(int64(n), 10) }
