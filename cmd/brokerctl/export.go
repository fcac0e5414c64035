package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"broker/api/types"
	"broker/cmd/brokerctl/internal/declare"
)

func (a *app) exportCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "export [KIND...]",
		Short: "Print what the broker holds as documents that apply takes",
		Long: `Print all environments, accounts, groups, connections, secrets, policies, role bindings and locks that one may see, or
those of some kinds, as documents that "brokerctl apply" takes. What has its default is left out. In place of
secret fields of connections stand variables: set them, or take the lines out to leave the fields as they are.`,
		Example: `  brokerctl export > broker.yaml
  brokerctl export secret policy`,
		RunE: func(cmd *cobra.Command, args []string) error {
			kinds := map[string]bool{}
			var names []string
			for _, k := range declare.Kinds() {
				names = append(names, k.Name)
				if len(args) == 0 {
					kinds[k.Name] = true
				}
			}
			needed := map[string]bool{}
			for _, one := range args {
				if !slices.Contains(names, one) {
					err := usage("there is no kind %q", one)
					err.hint = "there is " + strings.Join(names, ", ")
					return err
				}
				kinds[one], needed[one] = true, true
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			look := map[string]bool{declare.User: kinds[declare.User] || kinds[declare.Service], declare.Connection: kinds[declare.Secret]}
			for kind := range kinds {
				look[kind] = look[kind] || kind != declare.Service
			}
			state, err := a.state(cmd.Context(), c, look, needed)
			if err != nil {
				return err
			}
			page, err := c.ListProviders(cmd.Context())
			if err != nil {
				return err
			}
			state.Providers = map[string]types.Provider{}
			for _, one := range page.Items {
				state.Providers[one.Name] = one
			}
			for _, k := range declare.Kinds() {
				if seen := state.Seen[k.Name] || k.Name == declare.Service && state.Seen[declare.User]; kinds[k.Name] && !seen {
					a.warn("you may not list every " + k.Name + ": there is none here")
				}
			}
			text, err := declare.Write(state, kinds)
			if err != nil {
				return err
			}
			_, err = a.out.Write(text)
			return err
		},
	}
}
