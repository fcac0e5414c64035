package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"broker/access/audit/chain"
	"broker/api/types"
)

// maxGapsTold is how many gaps are told in words; JSON has all.
const maxGapsTold = 10

func (a *app) auditVerify() *cobra.Command {
	var anchorsFile string
	var offline bool
	cmd := &cobra.Command{
		Use:   "verify FILE|DIRECTORY…",
		Short: "Verify audit logs: nothing changed, removed, put elsewhere or cut off",
		Long: `Verify audit logs: the files of one node, those that were put aside too, in whatever order, or of several
nodes. The first record that was changed, removed, put elsewhere or cut off is told with file and line.

The files alone prove that nothing was changed within them. That their end was not cut off, and that nobody wrote
everything anew, is proved by anchors: those that the broker has, when it can be reached, or those of a file that
"brokerctl audit anchors -o json" has made. What came behind the newest anchor is proved by nothing.`,
		Example: "  brokerctl audit verify /var/lib/broker/audit\n  brokerctl audit verify --anchors anchors.json audit.log*",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return &usageError{err: fmt.Errorf("want the files of an audit log, or its directory"), command: cmd.CommandPath()}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if offline && anchorsFile != "" {
				return usage("--offline and --anchors: one of them")
			}
			files, err := auditFiles(args)
			if err != nil {
				return err
			}
			anchors, err := a.findAnchors(cmd.Context(), files, anchorsFile, offline)
			if err != nil {
				return err
			}
			reports, err := chain.Verify(files, anchors)
			if err != nil {
				return err
			}
			if len(reports) == 0 {
				return usage("the files hold no record")
			}
			return a.showVerified(reports)
		},
	}
	cmd.Flags().StringVar(&anchorsFile, "anchors", "", "compare with the anchors of this file, and do not ask the broker; - is standard input")
	cmd.Flags().BoolVar(&offline, "offline", false, "compare with no anchors")
	a.answers(cmd, chain.Report{})
	return cmd
}

// auditFiles returns the files that are named, and of directories those that look like an audit log.
func auditFiles(args []string) (files []string, err error) {
	for _, path := range args {
		info, err := os.Stat(path)
		if err != nil {
			return nil, fmt.Errorf("looking for an audit log: %w", err)
		}
		if !info.IsDir() {
			files = append(files, path)
			continue
		}
		entries, err := os.ReadDir(path)
		if err != nil {
			return nil, fmt.Errorf("looking for an audit log: %w", err)
		}
		for _, one := range entries {
			if one.Type().IsRegular() && strings.Contains(one.Name(), ".log") && !strings.HasPrefix(one.Name(), "torn-") {
				files = append(files, filepath.Join(path, one.Name()))
			}
		}
	}
	return files, nil
}

// findAnchors returns what the logs are compared with. A broker that cannot be asked is told, and no error.
func (a *app) findAnchors(ctx context.Context, files []string, path string, offline bool) ([]chain.Anchor, error) {
	switch {
	case offline:
		return nil, nil
	case path != "":
		text, err := a.readText(path)
		if err != nil {
			return nil, fmt.Errorf("reading anchors: %w", err)
		}
		var list []types.AuditAnchor
		if err := json.Unmarshal([]byte(text), &list); err != nil {
			var page types.Page[types.AuditAnchor]
			if json.Unmarshal([]byte(text), &page) != nil {
				return nil, &usageError{err: fmt.Errorf("%s holds no anchors", path), hint: "brokerctl audit anchors -o json makes such a file"}
			}
			list = page.Items
		}
		return anchorsOf(list), nil
	}
	nodes, err := chain.Nodes(files)
	if err != nil {
		return nil, err
	}
	c, err := a.client()
	var anchors []chain.Anchor
	for _, node := range nodes {
		if err != nil {
			break
		}
		var list []types.AuditAnchor
		list, err = allAnchors(ctx, a, c, node)
		anchors = append(anchors, anchorsOf(list)...)
	}
	if err != nil {
		a.warn("no anchors were compared, so a cut end or a log that was written anew is not found: " + err.Error())
		return nil, nil
	}
	return anchors, nil
}

func (a *app) showVerified(reports []chain.Report) error {
	err := list(a, reports, func(r chain.Report) string { return r.Chain },
		[]string{"NODE", "RECORDS", "FROM", "TO", "ANCHORED UP TO", "RESULT"},
		func(r chain.Report) []string {
			result, anchored := "as it was written", "-"
			if r.Finding != nil {
				result = strings.ToUpper(string(r.Finding.Kind))
			}
			if r.AnchorAt > 0 {
				anchored = number(r.AnchorAt)
			}
			if r.Records == 0 {
				return []string{r.Node, "0", "-", "-", anchored, result}
			}
			return []string{r.Node, fmt.Sprintf("%d-%d", r.First, r.Last), a.when(r.From), a.when(r.To), anchored, result}
		})
	if err != nil {
		return err
	}
	var first *chain.Finding
	for _, r := range reports {
		a.tellReport(r)
		switch {
		case r.Finding == nil:
		case first == nil:
			first = r.Finding
		default:
			a.warn(r.Finding.String())
		}
	}
	if first == nil {
		return nil
	}
	return &hintedError{
		err:  fmt.Errorf("%s: %s", first.Kind, first),
		hint: "what comes before it is as it was written; docs/audit.md says what to do",
	}
}

// tellReport tells what is no finding and worth knowing.
func (a *app) tellReport(r chain.Report) {
	for i, g := range r.Gaps {
		if i == maxGapsTold {
			a.note("note: there are %d more gaps; -o json has them", len(r.Gaps)-i)
			break
		}
		says := g.Reason
		for _, what := range []string{"outcomes", "calls"} {
			if n := g.Lost[what]; n > 0 {
				says += fmt.Sprintf(", %d %s are lost", n, what)
			}
		}
		a.note("note: %s:%d: the log itself says at %s: %s", g.File, g.Line, a.full(g.Time), says)
	}
	if r.Torn {
		a.note("note: the last line of node %s has no end: it is being written, or its writer died", r.Node)
	}
	if r.Finding == nil && r.Records > 0 && r.AnchorAt < r.Last {
		behind := r.Last - r.AnchorAt
		if r.AnchorAt < r.First {
			behind = r.Records
		}
		a.note("note: no anchor proves the newest %s of node %s", amount(behind, "record"), r.Node)
	}
	if r.Records > 0 && !r.Complete {
		a.note("note: the log of node %s begins with record %d: older files were not given, or removed as they became old", r.Node, r.First)
	}
}
