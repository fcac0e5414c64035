package console

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
)

//go:embed static
var staticFiles embed.FS

// static serves the files that pages load. Their paths hold a hash of all of them, so that browsers keep them for ever.
type static struct {
	prefix string
	files  map[string]file
}

type file struct {
	kind         string
	plain, small []byte // small is compressed
}

func newStatic() (*static, error) {
	s := &static{files: map[string]file{}}
	sum := sha256.New()
	err := fs.WalkDir(staticFiles, "static", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := staticFiles.ReadFile(name)
		if err != nil {
			return err
		}
		fmt.Fprintf(sum, "%s %d\n", name, len(data))
		sum.Write(data)
		var small bytes.Buffer
		zip, err := gzip.NewWriterLevel(&small, gzip.BestCompression)
		if err != nil {
			return err
		}
		if _, err := zip.Write(data); err != nil {
			return err
		}
		if err := zip.Close(); err != nil {
			return err
		}
		kind := mime.TypeByExtension(path.Ext(name))
		switch path.Ext(name) { // not as the machine's tables have it
		case ".js":
			kind = "text/javascript; charset=utf-8"
		case ".css":
			kind = "text/css; charset=utf-8"
		case ".svg":
			kind = "image/svg+xml"
		}
		s.files[strings.TrimPrefix(name, "static/")] = file{kind, data, small.Bytes()}
		return nil
	})
	s.prefix = "/ui/static/" + hex.EncodeToString(sum.Sum(nil))[:12] + "/"
	return s, err
}

// scripts are what console.js is made of: pages have them loaded together, not one after the other.
func scripts() []string {
	return []string{"talk.js", "times.js", "rows.js", "live.js", "dialog.js", "fields.js"}
}

// path is where a file is.
func (s *static) path(name string) string { return s.prefix + name }

// ServeHTTP serves a file.
func (s *static) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, ok := strings.CutPrefix(r.URL.Path, s.prefix)
	f, there := s.files[name]
	if !ok || !there {
		http.Error(w, "There is no such file: the page is of another version. Load it again.", http.StatusNotFound)
		return
	}
	header := w.Header()
	header.Set("Cache-Control", "public, max-age=31536000, immutable")
	header.Set("Content-Type", f.kind)
	header.Set("Vary", "Accept-Encoding")
	data := f.plain
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		header.Set("Content-Encoding", "gzip")
		data = f.small
	}
	_, _ = w.Write(data) // a browser that went away is nobody's error
}
