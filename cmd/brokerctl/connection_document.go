package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"broker/api/types"
)

func (a *app) connectionDocument() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "document NAME [DOCUMENT]",
		Short: "What a connection publishes, such as its authority's key and the list of what was revoked",
		Long: `Get what a connection publishes for those who check its credentials, such as its authority's key and the
list of what was revoked; without DOCUMENT, list what there is. No token is needed, and any node answers,
with what it knew ten seconds ago at the oldest.

With --out the document goes into a file that everybody can read. It appears complete or not at all, in place
of one that is there: a server may read it at any moment. When it cannot be had, the file stays as it is.`,
		Example: `  brokerctl connection document login-ca
  brokerctl connection document login-ca ca.pub --out /etc/ssh/broker-ca.pub
  brokerctl connection document login-ca krl --out /etc/ssh/broker.krl`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 2 {
				return nil
			}
			return exactly("NAME")(cmd, args)
		},
		ValidArgsFunction: a.complete(connectionNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			if len(args) == 1 {
				if path != "" {
					return usage("--out takes a DOCUMENT: without one there is a list")
				}
				found, err := c.ListDocuments(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				return list(a, found.Items, func(one types.Document) string { return one.Name },
					[]string{"NAME", "TYPE", "WHAT IT IS"},
					func(one types.Document) []string { return []string{one.Name, one.ContentType, one.Help} })
			}
			content, err := c.GetDocument(cmd.Context(), args[0], args[1])
			if err != nil {
				return err
			}
			if path != "" {
				return replaceFile(path, content)
			}
			if _, err := a.out.Write(content); err != nil {
				return fmt.Errorf("printing the document: %w", err)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&path, "out", "", "write the document to this file, in place of what is there")
	return cmd
}

// replaceFile puts a public file in its place, whole: whoever reads it meanwhile has the old one or the new one.
func replaceFile(path string, content []byte) error {
	temp, err := os.CreateTemp(filepath.Dir(path), ".document-*")
	if err != nil {
		return fmt.Errorf("making %s: %w", path, err)
	}
	defer os.Remove(temp.Name()) // gone already when all went well
	_, err = temp.Write(content)
	if err == nil {
		err = temp.Chmod(0o644)
	}
	if err == nil {
		err = temp.Sync()
	}
	if closing := temp.Close(); err == nil {
		err = closing
	}
	if err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}
