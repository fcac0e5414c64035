package main

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"broker/api/client"
	"broker/api/types"
)

func (a *app) secretCommand() *cobra.Command {
	noun := &cobra.Command{
		Use:     "secret",
		Aliases: []string{"secrets"},
		Short:   "Dynamic secrets: what kind of login is made, and for how long",
	}
	noun.AddCommand(a.secretCreate(), a.secretGet(), a.secretList(), a.secretUpdate(), a.secretDelete(), a.secretTest(), a.secretPreview())
	return noun
}

// secretFlags are what create and update have in common.
type secretFlags struct {
	description string
	defaultTTL  string
	maxTTL      string
	outputs     []string
	plain       []string
	labels      []string
	options     settingFlags
	limits      limitFlags
}

func (f *secretFlags) addTo(cmd *cobra.Command, changing bool) {
	flags := cmd.Flags()
	flags.StringVar(&f.description, "description", "", "what it is for")
	flags.StringVar(&f.defaultTTL, "default-ttl", "", "how long a lease lives unless said, e.g. 1h")
	flags.StringVar(&f.maxTTL, "max-ttl", "", "how long a lease can live with all renewals, e.g. 24h")
	flags.StringArrayVar(&f.outputs, "output", nil, "a key of the leased values as KEY=FIELD or KEY=TEMPLATE; repeatable")
	flags.StringSliceVar(&f.plain, "plain", nil, "keys whose values need not be masked; repeatable or comma-separated")
	flags.StringArrayVar(&f.labels, "label", nil, "a label as k=v; repeatable")
	f.limits.addTo(cmd)
	f.options.addTo(cmd, changing)
}

// readOutputs reads KEY=SOURCE texts. The source may hold further equals signs.
func (f *secretFlags) readOutputs() ([]types.Output, error) {
	var out []types.Output
	for _, text := range f.outputs {
		key, source, ok := strings.Cut(text, "=")
		if !ok || key == "" || source == "" {
			return nil, usage("output %q is not of the form KEY=FIELD or KEY=TEMPLATE", text)
		}
		masked := !slices.Contains(f.plain, key)
		out = append(out, types.Output{Key: key, Source: source, Masked: &masked})
	}
	for _, key := range f.plain {
		if !slices.ContainsFunc(out, func(o types.Output) bool { return o.Key == key }) {
			return nil, usage("--plain names %q, which no --output does", key)
		}
	}
	return out, nil
}

// providerOf returns the provider behind a connection. Whoever makes secrets need not see connections; then it is a
// provider that has such options, and the broker, which knows the right one, checks the values.
func providerOf(ctx context.Context, c *client.Client, connection string, options settingFlags) (types.Provider, error) {
	found, err := c.GetConnection(ctx, connection)
	var problem *types.Problem
	if errors.As(err, &problem) && problem.Status == http.StatusForbidden {
		return likelyProvider(ctx, c, options)
	}
	if err != nil {
		return types.Provider{}, err
	}
	return c.GetProvider(ctx, found.Provider)
}

// likelyProvider returns a provider that has all the options, or the one that has most of them. One that is misspelt
// counts half.
func likelyProvider(ctx context.Context, c *client.Client, options settingFlags) (likely types.Provider, err error) {
	page, err := c.ListProviders(ctx)
	if err != nil {
		return likely, err
	}
	most := -1
	for _, one := range page.Items {
		var has []string
		for _, f := range one.Options {
			has = append(has, f.Name)
		}
		known := 0
		for _, name := range options.names() {
			switch {
			case slices.Contains(has, name):
				known += 2
			case nearest(name, has) != "":
				known++
			}
		}
		if known > most {
			likely, most = one, known
		}
	}
	return likely, nil
}

func (a *app) secretCreate() *cobra.Command {
	var change changeFlags
	var flags secretFlags
	var connection string
	var test, disabled bool
	cmd := &cobra.Command{
		Use:   "create APP/ENV/NAME",
		Short: "Make a dynamic secret",
		Long: "Make a dynamic secret.\n\n" + setHelp + `

Without --output, every field of the provider's values becomes a key under its upper-case name.
A template holds fields in double braces: 'postgres://{{username}}:{{password | urlencode}}@{{host}}'.

--dry-run shows what a lease would do at the outside system. --test tries the secret out when it is made,
like "brokerctl secret test", and prints how that went.`,
		Example: `  brokerctl secret create payments/production/orders-ro --connection orders-db \
      --default-ttl 1h --max-ttl 24h --set member_of=readonly \
      --output DB_USER=username --output DB_PASSWORD=password --output DATABASE_URL=url`,
		Args: exactly("APP/ENV/NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			environment, name, err := client.SplitSecret(args[0])
			if err != nil {
				return &usageError{err: err}
			}
			spec := types.SecretSpec{Name: name, Connection: connection, Description: flags.description, Disabled: disabled}
			if connection == "" {
				return usage("--connection is required")
			}
			if test && change.dryRun {
				return usage("--test and --dry-run exclude each other: a test needs the secret to be there")
			}
			if test && disabled {
				return usage("--test and --disabled exclude each other: a disabled secret issues no leases")
			}
			if spec.DefaultTTL, err = ttl("default-ttl", flags.defaultTTL); err != nil {
				return err
			}
			if spec.MaxTTL, err = ttl("max-ttl", flags.maxTTL); err != nil {
				return err
			}
			if spec.Outputs, err = flags.readOutputs(); err != nil {
				return err
			}
			if spec.Labels, err = labels(flags.labels); err != nil {
				return err
			}
			spec.MaxLeases = flags.limits.maxLeases
			if spec.IssueRate, err = flags.limits.rate(); err != nil {
				return err
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			if flags.options.given() {
				provider, err := providerOf(cmd.Context(), c, connection, flags.options)
				if err != nil {
					return err
				}
				if spec.Options, err = flags.options.read(a, provider.Name, provider.Options); err != nil {
					return err
				}
			}
			made, err := c.CreateSecret(cmd.Context(), environment, spec, change.options()...)
			if client.Code(err) == "output_key_taken" {
				return a.otherKeys(cmd.Context(), c, spec, flags.options, err)
			}
			if err != nil {
				return err
			}
			change.done(a, "created", "secret "+made.FullName)
			switch {
			case test:
				a.warn(made.Warnings...)
				return a.testSecret(cmd.Context(), c, made.FullName, types.SecretTestSpec{})
			case !change.dryRun && !disabled:
				a.offerTest(made.FullName)
			}
			if err := a.changed(made, made.FullName, made.Warnings); err != nil {
				return err
			}
			return a.showPreview(made)
		},
	}
	cmd.Flags().StringVar(&connection, "connection", "", "the connection that makes its logins")
	cmd.Flags().BoolVar(&test, "test", false, "then try it out with a short lease")
	cmd.Flags().BoolVar(&disabled, "disabled", false, "it issues and renews no leases until it is enabled")
	flags.addTo(cmd, false)
	change.addTo(cmd, false)
	a.completeFlag(cmd, "connection", connectionNames)
	a.completeSettings(cmd, optionsOf)
	a.answers(cmd, types.Secret{})
	return cmd
}

func (a *app) secretGet() *cobra.Command {
	return &cobra.Command{
		Use:               "get APP/ENV/NAME",
		Short:             "Show a secret",
		Args:              exactly("APP/ENV/NAME"),
		ValidArgsFunction: a.complete(secretNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			found, err := c.GetSecret(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			rows := []row{
				{"Name", found.FullName},
				{"Description", found.Description},
				{"Connection", found.Connection},
				{"Default TTL", found.DefaultTTL.String()},
				{"Max TTL", found.MaxTTL.String()},
			}
			if found.Disabled {
				rows = append(rows, row{"Disabled", "yes"})
			}
			if found.MaxLeases > 0 {
				rows = append(rows, row{"Max leases", number(found.MaxLeases)})
			}
			rows = append(rows, row{"Issue rate", found.IssueRate}, row{"Being deleted by", found.BeingDeletedBy})
			rows = append(rows, settingRows("Option", found.Options)...)
			for _, one := range found.Outputs {
				text := one.Key + " = " + one.Source
				if one.Masked != nil && !*one.Masked {
					text += " (plain)"
				}
				rows = append(rows, row{"Output", text})
			}
			return a.show(found, found.FullName, append(rows,
				row{"Labels", pairs(found.Labels)},
				row{"Created", a.full(found.CreatedAt)},
				row{"Updated", a.full(found.UpdatedAt)},
				row{"Version", number(found.Version)},
			))
		},
	}
}

func (a *app) secretList() *cobra.Command {
	var flags listFlags
	cmd := &cobra.Command{
		Use:               "list [APP/ENV]",
		Aliases:           []string{"ls"},
		Short:             "List secrets, of one environment or all",
		Args:              atMostOne("APP/ENV"),
		ValidArgsFunction: a.complete(environmentNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			environment := ""
			if len(args) == 1 {
				environment = args[0]
			}
			found, err := collect(a, flags, func(o client.ListOptions) ([]types.Secret, string, error) {
				page, err := c.ListSecrets(cmd.Context(), environment, o)
				return page.Items, page.NextCursor, err
			})
			if err != nil {
				return err
			}
			return list(a, found, func(s types.Secret) string { return s.FullName },
				[]string{"NAME", "CONNECTION", "DEFAULT TTL", "MAX TTL", "KEYS", "DESCRIPTION"},
				func(s types.Secret) []string {
					var keys []string
					for _, one := range s.Outputs {
						keys = append(keys, one.Key)
					}
					return []string{s.FullName, s.Connection, s.DefaultTTL.String(), s.MaxTTL.String(), strings.Join(keys, " "), s.Description}
				})
		},
	}
	flags.addTo(cmd)
	return cmd
}

func (a *app) secretDelete() *cobra.Command {
	var change changeFlags
	var removal removalFlags
	cmd := &cobra.Command{
		Use:               "delete APP/ENV/NAME",
		Aliases:           []string{"rm"},
		Short:             "Delete a secret without live leases, or with them",
		Args:              exactly("APP/ENV/NAME"),
		ValidArgsFunction: a.complete(secretNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.remove(cmd.Context(), &change, &removal, "secret "+args[0], func(c *client.Client, options []client.Option) error {
				return c.DeleteSecret(cmd.Context(), args[0], options...)
			}, func(c *client.Client, options []client.Option) (types.Operation, error) {
				return c.DeleteSecretWithLeases(cmd.Context(), args[0], removal.reason, options...)
			})
		},
	}
	removal.addTo(cmd, "its leases")
	change.addTo(cmd, true)
	return cmd
}
