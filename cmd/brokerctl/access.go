package main

import (
	"encoding/csv"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"broker/api/client"
	"broker/api/types"
)

func (a *app) accessCommand() *cobra.Command {
	noun := &cobra.Command{
		Use:   "access",
		Short: "Who may do what, and why",
		Long: `Says who may do what, and why. A resource is a secret (app/env/name), an environment (app/env, app/* or *),
KIND/NAME such as connection/orders-db, account/ci, policy/short-leases or lease/ID, or cluster.`,
		Example: `  brokerctl access explain ci lease:issue payments/production/orders-ro
  brokerctl access who-can lease:issue payments/production/orders-ro
  brokerctl access report --all > access.csv`,
	}
	noun.AddCommand(a.accessExplain(), a.accessWhoCan(), a.accessReport())
	return noun
}

// errNotAllowed is returned when the answer is no; the answer itself has been printed.
var errNotAllowed = errors.New("not allowed")

func (a *app) accessExplain() *cobra.Command {
	var spec types.ExplainSpec
	var ttl time.Duration
	cmd := &cobra.Command{
		Use:   "explain ACCOUNT ACTION RESOURCE",
		Short: "Say whether an account may do something, and why; exit code 0: yes, 4: no",
		Example: `  brokerctl access explain ci lease:issue payments/production/orders-ro
  brokerctl access explain alice connection:update connection/orders-db
  brokerctl access explain ci lease:issue payments/production/orders-ro --ttl 2h --from 10.1.2.3`,
		Args:              exactly("ACCOUNT", "ACTION", "RESOURCE"),
		ValidArgsFunction: a.complete(accountNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			spec.Account, spec.Action, spec.Resource = args[0], args[1], args[2]
			if ttl > 0 {
				asked := types.Duration(ttl)
				spec.TTL = &asked
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			found, err := c.Explain(cmd.Context(), spec)
			if err != nil {
				return err
			}
			answer := "no"
			if found.Allowed {
				answer = "yes"
			}
			rows := []row{{"Allowed", answer}}
			for _, why := range found.Why {
				rows = append(rows, row{"Why", why})
			}
			if found.MaxTTL != nil {
				rows = append(rows, row{"Max TTL", found.MaxTTL.String()})
			}
			if err := a.show(found, answer, rows); err != nil {
				return err
			}
			if !found.Allowed {
				return errNotAllowed
			}
			return nil
		},
	}
	cmd.Flags().Var((*durationFlag)(&ttl), "ttl", "as if a lease of this life were asked for; policies may look at it")
	cmd.Flags().Lookup("ttl").DefValue = ""
	cmd.Flags().StringVar(&spec.Address, "from", "", "as if it were asked from this IP address; policies may look at it")
	a.answers(cmd, types.Explanation{})
	return cmd
}

func (a *app) accessWhoCan() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "who-can ACTION RESOURCE",
		Short: "List the accounts and groups that may do something, and why",
		Example: `  brokerctl access who-can lease:issue payments/production/orders-ro
  brokerctl access who-can role:bind role`,
		Args: exactly("ACTION", "RESOURCE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			found, err := c.WhoCan(cmd.Context(), types.WhoCanSpec{Action: args[0], Resource: args[1]})
			if err != nil {
				return err
			}
			if len(found.Holders) == 0 {
				a.note("nobody may do that")
			}
			return list(a, found.Holders, func(h types.Holder) string { return h.Account + h.Group }, []string{"KIND", "NAME", "WHY"},
				func(h types.Holder) []string {
					kind, _, _ := strings.Cut(holderText(h.Account, h.Group), " ")
					return []string{kind, h.Account + h.Group, strings.Join(h.Why, "; ")}
				})
		},
	}
	return cmd
}

func (a *app) accessReport() *cobra.Command {
	var flags listFlags
	cmd := &cobra.Command{
		Use:   "report",
		Short: "Report which account may do what where, and when it last did; CSV in a pipe",
		Long: `Reports which account may do what in which environment, and when history last saw it do that there: for reviews of
who has too much. What every account may, and what one may with one's own leases, is not in it. Reading leaves no trace in
history, so that for actions like secret:get there is no last use.`,
		Example:     "  brokerctl access report --all > access.csv",
		Args:        exactly(),
		Annotations: map[string]string{annotationCSV: "yes"},
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			found, err := collect(a, flags, func(o client.ListOptions) ([]types.AccessRow, string, error) {
				page, err := c.AccessReport(cmd.Context(), o)
				return page.Items, page.NextCursor, err
			})
			if err != nil {
				return err
			}
			header := []string{"account", "place", "action", "used_at", "why"}
			if a.format == "csv" || a.format == "table" && !a.terminal && a.field == "" {
				return a.csv(header, len(found), func(i int) []string {
					return []string{found[i].Account, found[i].Place, found[i].Action, lastUse(found[i]), strings.Join(found[i].Why, "; ")}
				})
			}
			return list(a, found, func(r types.AccessRow) string { return r.Account + " " + r.Place + " " + r.Action },
				[]string{"ACCOUNT", "PLACE", "ACTION", "LAST USED", "WHY"},
				func(r types.AccessRow) []string {
					used := first(a.when(pointed(r.UsedAt)), "never seen")
					if !r.Tracked {
						used = "not tracked"
					}
					return []string{r.Account, r.Place, r.Action, used, strings.Join(r.Why, "; ")}
				})
		},
	}
	flags.addTo(cmd)
	return cmd
}

func lastUse(r types.AccessRow) string {
	switch {
	case !r.Tracked:
		return "not tracked"
	case r.UsedAt == nil:
		return "never"
	}
	return r.UsedAt.UTC().Format(time.RFC3339)
}

// csv prints lines with a header. A cell that a spreadsheet would take for a formula is quoted as a text.
func (a *app) csv(header []string, lines int, cells func(int) []string) error {
	w := csv.NewWriter(a.out)
	if err := w.Write(header); err != nil {
		return fmt.Errorf("writing CSV: %w", err)
	}
	for i := range lines {
		line := cells(i)
		for j, cell := range line {
			if cell = clean(cell); cell != "" && strings.ContainsAny(cell[:1], "=+-@") {
				cell = strconv.Quote(cell)
			}
			line[j] = cell
		}
		if err := w.Write(line); err != nil {
			return fmt.Errorf("writing CSV: %w", err)
		}
	}
	w.Flush()
	return w.Error()
}
