package consoletest

import (
	"context"
	"os"
	"path/filepath"
	"time"

	protocol "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/chromedp"
)

// Download clicks what is called so, and returns the name and the content of the file that the browser saves.
func (b *Browser) Download(what string) (name, content string) {
	b.t.Helper()
	dir := b.t.TempDir()
	b.do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, protocol.SetDownloadBehavior, protocol.SetDownloadBehaviorParams{
			Behavior: protocol.SetDownloadBehaviorBehaviorAllow, DownloadPath: dir, BrowserContextID: chromedp.FromContext(b.ctx).BrowserContextID,
		})
		return err
	}))
	b.Click(what)
	for deadline := time.Now().Add(patience); ; {
		files, err := os.ReadDir(dir)
		b.house.must(err)
		if len(files) == 1 && filepath.Ext(files[0].Name()) != ".crdownload" && files[0].Type().IsRegular() {
			data, err := os.ReadFile(filepath.Join(dir, files[0].Name()))
			b.house.must(err)
			if len(data) > 0 {
				return files[0].Name(), string(data)
			}
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("%s saves no file: %v", what, files)
		}
		select {
		case <-b.t.Context().Done():
			b.t.Fatal("the test is over")
		case <-time.After(30 * time.Millisecond):
		}
	}
}
