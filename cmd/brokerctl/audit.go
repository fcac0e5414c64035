package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"broker/access/audit/chain"
	"broker/api/client"
	"broker/api/types"
)

func (a *app) auditCommand() *cobra.Command {
	noun := &cobra.Command{
		Use:   "audit",
		Short: "Audit logs: list, verify, hash, anchors",
		Long: `Audit logs. Every node keeps one of the requests that it took or served, and of the calls of outside systems
that it made. Its records are chained by their hashes, and every minute the cluster remembers the newest one.`,
	}
	noun.AddCommand(a.auditList(), a.auditVerify(), a.auditHash(), a.auditAnchors())
	return noun
}

func (a *app) auditHash() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "hash",
		Short: "Make the keyed hash of a value, to look for it in audit logs",
		Long: `Make the keyed hash of a value, to look for it in audit logs: they hold the hashes of idempotency keys, and
no leased value at all. The value is asked for, or read from standard input, and never an argument, which others
could see. It goes to the broker, which has the key, and is kept nowhere.`,
		Example: "  brokerctl audit hash\n  grep \"$(brokerctl audit hash < key.txt)\" /var/lib/broker/audit/audit.log*",
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			var value string
			if a.secretly != nil {
				value, err = a.secretly("value: ")
			} else {
				value, err = a.readText("-")
			}
			if err != nil {
				return fmt.Errorf("reading the value: %w", err)
			}
			if value == "" {
				return usage("there is no value: type it, or give it on standard input")
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			hash, err := c.HashForAudit(cmd.Context(), value)
			if err != nil {
				return err
			}
			if a.format == "table" && a.field == "" {
				_, err = fmt.Fprintln(a.out, hash)
				return err
			}
			return a.show(types.AuditHash{Hash: hash}, hash, nil)
		},
	}
	a.answers(cmd, types.AuditHash{})
	return cmd
}

func (a *app) auditAnchors() *cobra.Command {
	var node string
	cmd := &cobra.Command{
		Use:   "anchors",
		Short: "List where the nodes' audit logs were anchored",
		Long: `List the places of the nodes' audit logs that the cluster remembers, by node and record: one a minute while
something is recorded, as long as history is kept. Kept elsewhere they prove later what a log was, also when the
cluster is gone.`,
		Example: "  brokerctl audit anchors -o json > anchors.json\n  brokerctl audit verify --anchors anchors.json audit.log*",
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			found, err := allAnchors(cmd.Context(), a, c, node)
			if err != nil {
				return err
			}
			return list(a, found, func(one types.AuditAnchor) string { return one.Head },
				[]string{"NODE", "RECORD", "AT", "HEAD", "CHAIN"},
				func(one types.AuditAnchor) []string {
					return []string{one.Node, number(one.Seq), a.when(one.At), one.Head, one.Chain}
				})
		},
	}
	cmd.Flags().StringVar(&node, "node", "", "only those of this node")
	a.answers(cmd, types.AuditAnchor{})
	return cmd
}

// allAnchors reads the anchors of a node, or of all.
func allAnchors(ctx context.Context, a *app, c *client.Client, node string) ([]types.AuditAnchor, error) {
	return collect(a, listFlags{limit: 1, all: true}, func(o client.ListOptions) ([]types.AuditAnchor, string, error) {
		page, err := c.ListAuditAnchors(ctx, node, o)
		return page.Items, page.NextCursor, err
	})
}

func anchorsOf(list []types.AuditAnchor) (anchors []chain.Anchor) {
	for _, one := range list {
		anchors = append(anchors, chain.Anchor{Node: one.Node, Chain: one.Chain, Seq: one.Seq, Head: one.Head, At: one.At})
	}
	return anchors
}
