package consoletest

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

//go:embed testdata/axe.min.js
var axe string

// Axe has axe-core look for what keeps people from using the page. What it finds fails the test.
func (b *Browser) Axe() {
	b.t.Helper()
	if os.Getenv("BROKER_TEST_AXE") == "off" { // it takes most of the time
		return
	}
	b.until("waiting for the page", "document.readyState === 'complete' ? 'ok' : 'it is still loading'")
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	found, err := chromedp.Run(ctx, chromedp.Evaluate[string](axe+`;
axe.run(document, { resultTypes: ["violations"] }).then((r) => r.violations.map((v) => v.id + ": " + v.help + "\n" +
  v.nodes.slice(0, 3).map((n) => "    " + n.html.slice(0, 160) + "\n      " + n.failureSummary.split("\n").slice(1).join("; ")).join("\n")).join("\n"))`, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("running axe: %v", err)
	}
	if found != "" {
		b.t.Errorf("%s is not accessible:\n%s", b.eval("location.pathname"), found)
	}
}

// Shot keeps pictures of the page, wide and narrow, light and dark, where -console.shots asks for them. It also fails when the page
// is wider than a narrow window.
func (b *Browser) Shot(name string) {
	b.t.Helper()
	for _, width := range []int64{1280, 360} {
		b.do(call(emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: 800, DeviceScaleFactor: 1}))
		if over := b.eval("document.documentElement.scrollWidth > innerWidth"); over != "false" {
			b.t.Errorf("%s at %d pixels is wider than its window", name, width)
		}
		if !*shots {
			continue
		}
		for _, theme := range []string{"light", "dark"} {
			b.do(call(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}}}))
			b.picture(fmt.Sprintf("%s-%d-%s.png", name, width, theme))
		}
	}
	b.do(call(emulation.ClearDeviceMetricsOverride, cdp.Empty{}))
}

func (b *Browser) picture(file string) {
	b.t.Helper()
	root, err := moduleRoot()
	b.house.must(err)
	dir := filepath.Join(root, "api/console/shots")
	b.house.must(os.MkdirAll(dir, 0o755))
	data, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	b.house.must(err)
	b.house.must(os.WriteFile(filepath.Join(dir, file), data, 0o644))
}
