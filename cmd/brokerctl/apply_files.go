package main

import (
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"broker/cmd/brokerctl/internal/declare"
)

// readDocuments reads the documents of files and directories. A lenient reading lets values be absent.
func (a *app) readDocuments(paths []string, lenient bool) (objects []declare.Object, problems []declare.Problem, err error) {
	reader := declare.Reader{
		Getenv: func(name string) (string, bool) { value := a.getenv(name); return value, value != "" },
		Open: func(file, path string) (string, error) {
			if !filepath.IsAbs(path) && file != "-" {
				path = filepath.Join(filepath.Dir(file), path)
			}
			content, err := os.ReadFile(path)
			return strings.TrimSuffix(strings.TrimSuffix(string(content), "\n"), "\r"), err
		},
		Nearest: nearest,
		Lenient: lenient,
	}
	for _, path := range paths {
		files, err := documentFiles(path)
		if err != nil {
			return nil, nil, err
		}
		before := len(objects) + len(problems)
		for _, file := range files {
			var content []byte
			if file == "-" {
				content, err = io.ReadAll(a.in)
			} else {
				content, err = os.ReadFile(file)
			}
			if err != nil {
				return nil, nil, fmt.Errorf("reading %s: %w", file, err)
			}
			read, wrong := reader.Read(file, content)
			objects, problems = append(objects, read...), append(problems, wrong...)
		}
		// A path that is not what it was taken for must not look like one that declares nothing: --prune would delete that.
		if len(objects)+len(problems) == before {
			return nil, nil, &hintedError{err: fmt.Errorf("there is no document in %s", path), hint: "files end in .yaml, .yml or .json; \"brokerctl apply --help\" shows an example"}
		}
	}
	return objects, problems, nil
}

// documentFiles returns the files that a path means, sorted. A path may be a link to a directory; beneath it there may be none,
// since nobody would see what is left out or read twice.
func documentFiles(path string) ([]string, error) {
	info, err := os.Stat(path)
	switch {
	case path == "-":
		return []string{path}, nil
	case err != nil:
		return nil, fmt.Errorf("reading %s: %w", path, err)
	case !info.IsDir():
		return []string{path}, nil
	}
	root := path + string(filepath.Separator) // what a link leads to
	var files []string
	err = filepath.WalkDir(root, func(one string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		hidden := one != root && strings.HasPrefix(entry.Name(), ".")
		switch extension := filepath.Ext(one); {
		case hidden && entry.IsDir():
			return fs.SkipDir
		case !hidden && entry.Type()&fs.ModeSymlink != 0 && isDirectory(one):
			return &hintedError{err: fmt.Errorf("%s is a link to a directory, and links are not followed", one), hint: "-f " + one + " reads it too"}
		case !hidden && !entry.IsDir() && (extension == ".yaml" || extension == ".yml" || extension == ".json"):
			files = append(files, one)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	return files, nil
}

func isDirectory(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// valueText shows a value in a difference.
func valueText(value any) string {
	switch v := value.(type) {
	case nil:
		return "(default)"
	case string:
		if v != "" && !strings.ContainsAny(v, "\n\t ") {
			return clean(v)
		}
	}
	text, err := json.Marshal(value)
	if err != nil {
		return "?"
	}
	return clean(string(text))
}
