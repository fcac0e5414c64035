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
	}
	if len(objects) == 0 && len(problems) == 0 {
		return nil, nil, &hintedError{err: fmt.Errorf("there is no document in %s", strings.Join(paths, ", ")), hint: "files end in .yaml, .yml or .json; \"brokerctl apply --help\" shows an example"}
	}
	return objects, problems, nil
}

// documentFiles returns the files that a path means, sorted.
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
	var files []string
	err = filepath.WalkDir(path, func(one string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		hidden := one != path && strings.HasPrefix(entry.Name(), ".")
		switch extension := filepath.Ext(one); {
		case hidden && entry.IsDir():
			return fs.SkipDir
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
