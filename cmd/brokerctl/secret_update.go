package main

import (
	"github.com/spf13/cobra"

	"broker/api/types"
)

func (a *app) secretUpdate() *cobra.Command {
	var change changeFlags
	var flags secretFlags
	var enable, disable bool
	cmd := &cobra.Command{
		Use:   "update APP/ENV/NAME",
		Short: "Change a secret; leases that exist keep what they were issued with",
		Long:  "Change a secret. What is not given stays.\n\n" + setHelp,
		Example: `  brokerctl secret update payments/production/orders-ro --max-ttl 12h
  brokerctl secret update payments/production/orders-ro --disable`,
		Args:              exactly("APP/ENV/NAME"),
		ValidArgsFunction: a.complete(secretNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			wanted, err := flags.change(cmd)
			if err != nil {
				return err
			}
			switch {
			case enable && disable:
				return usage("--enable and --disable exclude each other")
			case enable || disable:
				wanted.Disabled = &disable
			}
			given := false
			for _, name := range []string{"description", "default-ttl", "max-ttl", "output", "label", "set", "unset", "enable", "disable", "max-leases", "issue-rate"} {
				given = given || cmd.Flags().Changed(name)
			}
			if !given {
				return usage("nothing to change is given")
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			if flags.options.given() {
				before, err := c.GetSecret(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				provider, err := providerOf(cmd.Context(), c, before.Connection, flags.options)
				if err != nil {
					return err
				}
				if wanted.Options, err = flags.options.read(a, provider.Name, provider.Options); err != nil {
					return err
				}
			}
			changed, err := c.UpdateSecret(cmd.Context(), args[0], wanted, change.options()...)
			if err != nil {
				return err
			}
			change.done(a, "updated", "secret "+changed.FullName)
			if !change.dryRun && wanted.Options != nil {
				a.offerTest(changed.FullName)
			}
			if err := a.changed(changed, changed.FullName, changed.Warnings); err != nil {
				return err
			}
			return a.showPreview(changed)
		},
	}
	cmd.Flags().BoolVar(&disable, "disable", false, "issue and renew no leases of it")
	cmd.Flags().BoolVar(&enable, "enable", false, "issue and renew leases again")
	flags.addTo(cmd, true)
	a.completeSettings(cmd, optionsOf)
	change.addTo(cmd, true)
	a.answers(cmd, types.Secret{})
	return cmd
}

// change reads the flags that were given; the others change nothing.
func (f *secretFlags) change(cmd *cobra.Command) (types.SecretChange, error) {
	var (
		out types.SecretChange
		err error
	)
	if cmd.Flags().Changed("description") {
		out.Description = &f.description
	}
	if out.MaxLeases, out.IssueRate, err = f.limits.read(cmd); err != nil {
		return out, err
	}
	if out.DefaultTTL, err = ttl("default-ttl", f.defaultTTL); err != nil {
		return out, err
	}
	if out.MaxTTL, err = ttl("max-ttl", f.maxTTL); err != nil {
		return out, err
	}
	if cmd.Flags().Changed("output") || cmd.Flags().Changed("plain") {
		outputs, err := f.readOutputs()
		if err != nil {
			return out, err
		}
		out.Outputs = &outputs
	}
	if cmd.Flags().Changed("label") {
		read, err := labels(f.labels)
		if err != nil {
			return out, err
		}
		out.Labels = &read
	}
	return out, nil
}
