package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"broker/api/client/contexts"
	"broker/api/types"
)

func (a *app) contextCommand() *cobra.Command {
	noun := &cobra.Command{
		Use:     "context",
		Aliases: []string{"contexts"},
		Short:   "Contexts: brokers that this machine remembers",
		Long: `Contexts are brokers that this machine remembers, in ~/.config/broker/contexts.yaml. One is in
use when neither flags nor variables say where the broker is; without a choice it is "dev", which
"brokerd dev" writes. "brokerctl login" makes one.`,
	}
	noun.AddCommand(a.contextList(), a.contextUse(), a.contextEnv(), a.contextDelete())
	return noun
}

// contextShown is a context without its token.
type contextShown struct {
	Name      string   `json:"name"`
	Addresses []string `json:"addresses"`
	InUse     bool     `json:"in_use"`
}

func (a *app) contextsFile() (*contexts.File, string, error) {
	path, err := contexts.Path(a.getenv)
	if err != nil {
		return nil, "", err
	}
	file, err := contexts.Load(path)
	return file, path, err
}

func (a *app) contextNames(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	file, _, err := a.contextsFile()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	return file.Names(), cobra.ShellCompDirectiveNoFileComp
}

func (a *app) contextList() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List contexts",
		Args:    exactly(),
		RunE: func(*cobra.Command, []string) error {
			file, _, err := a.contextsFile()
			if err != nil {
				return err
			}
			inUse := first(file.Current, contexts.Fallback)
			var shown []contextShown
			for _, name := range file.Names() {
				shown = append(shown, contextShown{name, file.Contexts[name].All(), name == inUse})
			}
			return list(a, shown, func(c contextShown) string { return c.Name },
				[]string{"", "NAME", "ADDRESSES"},
				func(c contextShown) []string {
					mark := ""
					if c.InUse {
						mark = "*"
					}
					return []string{mark, c.Name, strings.Join(c.Addresses, " ")}
				})
		},
	}
}

func (a *app) contextUse() *cobra.Command {
	return &cobra.Command{
		Use:               "use NAME",
		Short:             "Use a context from now on",
		Args:              exactly("NAME"),
		ValidArgsFunction: a.contextNames,
		RunE: func(_ *cobra.Command, args []string) error {
			file, path, err := a.contextsFile()
			if err != nil {
				return err
			}
			if _, ok := file.Contexts[args[0]]; !ok {
				err := usage("there is no context %q", args[0])
				if likely := nearest(args[0], file.Names()); likely != "" {
					err.hint = fmt.Sprintf("did you mean %q?", likely)
				}
				return err
			}
			file.Current = args[0]
			if err := file.Save(path); err != nil {
				return err
			}
			a.note("context %s is in use", args[0])
			return nil
		},
	}
}

func (a *app) contextEnv() *cobra.Command {
	return &cobra.Command{
		Use:               "env [NAME]",
		Short:             "Print a context as lines for a shell, its token included",
		Example:           `  eval "$(brokerctl context env)"`,
		Args:              atMostOne("NAME"),
		ValidArgsFunction: a.contextNames,
		RunE: func(_ *cobra.Command, args []string) error {
			file, _, err := a.contextsFile()
			if err != nil {
				return err
			}
			name := a.context
			if len(args) == 1 {
				name = args[0]
			}
			_, chosen, ok, err := file.Chosen(name)
			switch {
			case err != nil:
				return err
			case !ok:
				return errNoAddress
			}
			token, err := chosen.ReadToken()
			if err != nil {
				return err
			}
			values := types.Values{{Key: "BROKER_ADDR", Value: strings.Join(chosen.All(), ",")}}
			if token != "" {
				values = append(values, types.Value{Key: "BROKER_TOKEN", Value: token})
			}
			if chosen.CACert != "" {
				values = append(values, types.Value{Key: "BROKER_CACERT", Value: chosen.CACert})
			}
			lines, err := values.ShellLines()
			if err != nil {
				return err
			}
			_, err = a.out.Write(lines)
			return err
		},
	}
}

func (a *app) contextDelete() *cobra.Command {
	return &cobra.Command{
		Use:               "delete NAME",
		Aliases:           []string{"rm"},
		Short:             "Forget a context with its token",
		Args:              exactly("NAME"),
		ValidArgsFunction: a.contextNames,
		RunE: func(_ *cobra.Command, args []string) error {
			file, path, err := a.contextsFile()
			if err != nil {
				return err
			}
			if _, ok := file.Contexts[args[0]]; !ok {
				return usage("there is no context %q", args[0])
			}
			delete(file.Contexts, args[0])
			if file.Current == args[0] {
				file.Current = ""
			}
			if err := file.Save(path); err != nil {
				return err
			}
			a.note("context %s is forgotten; its token stays valid at the broker", args[0])
			return nil
		},
	}
}
