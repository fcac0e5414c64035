package consoletest

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"broker/api/client"
	"broker/api/types"
)

var pictures = flag.String("console.pictures", "", "keep the pictures for the README in this directory")

// Picture keeps what the window shows, light and dark, for the README, where -console.pictures asks for that.
func (b *Browser) Picture(name string) {
	b.t.Helper()
	if *pictures == "" {
		return
	}
	b.do(call(emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: 1280, Height: 800, DeviceScaleFactor: 1}))
	b.Wait(`!document.querySelector(".toast")`)
	for _, theme := range []string{"light", "dark"} {
		b.do(call(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}}}))
		data, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
		b.house.must(err)
		data, err = smaller(data)
		b.house.must(err)
		b.house.must(os.WriteFile(filepath.Join(*pictures, "console-"+name+"-"+theme+".png"), data, 0o644))
	}
	b.do(call(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{}), call(emulation.ClearDeviceMetricsOverride, cdp.Empty{}))
}

// smaller draws a picture with 256 colours: of those that look alike the commonest, which is all that a screen of ours needs.
func smaller(data []byte) ([]byte, error) {
	from, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	often := map[color.NRGBA]int{}
	for y := range from.Bounds().Dy() {
		for x := range from.Bounds().Dx() {
			often[color.NRGBAModel.Convert(from.At(x, y)).(color.NRGBA)]++
		}
	}
	alike := map[color.NRGBA]color.NRGBA{}
	for one := range often {
		about := color.NRGBA{R: one.R >> 3, G: one.G >> 3, B: one.B >> 3}
		if best, ok := alike[about]; !ok || cmp.Or(cmp.Compare(often[one], often[best]), cmp.Compare(one.R, best.R), cmp.Compare(one.G, best.G), cmp.Compare(one.B, best.B)) > 0 {
			alike[about] = one
		}
	}
	colours := slices.Collect(maps.Values(alike))
	slices.SortFunc(colours, func(a, b color.NRGBA) int { return cmp.Compare(often[b], often[a]) })
	var palette color.Palette
	for _, one := range colours[:min(256, len(colours))] {
		palette = append(palette, one)
	}
	to := image.NewPaletted(from.Bounds(), palette)
	draw.Draw(to, to.Bounds(), from, image.Point{}, draw.Src)
	var out bytes.Buffer
	err = (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&out, to)
	return out.Bytes(), err
}

// Believable furnishes the cluster as one that is in use, for pictures; else it does nothing.
func (h *House) Believable() {
	h.t.Helper()
	if *pictures == "" {
		return
	}
	c, ctx, root := h.Client(), h.t.Context(), h.Root()
	for _, name := range []string{"payments/staging", "analytics/production"} {
		_, err := c.CreateEnvironment(ctx, types.EnvironmentSpec{Name: name})
		h.must(err)
	}
	for _, name := range []string{"billing-db", "warehouse"} {
		_, err := c.CreateConnection(ctx, types.ConnectionSpec{
			Name: name, Provider: "postgres", Environments: []string{"*"},
			Settings: map[string]any{"host": "127.0.0.1", "port": shared.pg.Port, "database": root.Database, "username": root.Username, "password": root.Password},
		})
		h.must(err)
	}
	for _, one := range []struct {
		env, name, connection, description string
		ttl, most                          time.Duration
		keys                               []string
	}{
		{"payments/production", "billing-rw", "billing-db", "Writes invoices", 30 * time.Minute, 8 * time.Hour, []string{"BILLING_DB_USER", "BILLING_DB_PASSWORD"}},
		{"payments/staging", "orders-ro", "orders-db", "Reads orders of staging", time.Hour, 24 * time.Hour, []string{"DB_USER", "DB_PASSWORD"}},
		{"analytics/production", "warehouse-reader", "warehouse", "For reports and notebooks", 4 * time.Hour, 72 * time.Hour, []string{"WAREHOUSE_USER", "WAREHOUSE_PASSWORD"}},
		{"analytics/production", "nightly-load", "warehouse", "The nightly load", 2 * time.Hour, 12 * time.Hour, []string{"LOAD_USER", "LOAD_PASSWORD"}},
		{"shop/production", "catalogue-rw", "orders-db", "Edits the catalogue", time.Hour, 12 * time.Hour, []string{"CATALOGUE_USER", "CATALOGUE_PASSWORD"}},
	} {
		ttl, most := types.Duration(one.ttl), types.Duration(one.most)
		_, err := c.CreateSecret(ctx, one.env, types.SecretSpec{
			Name: one.name, Description: one.description, Connection: one.connection, DefaultTTL: &ttl, MaxTTL: &most,
			Options: map[string]any{"member_of": []string{root.Role}},
			Outputs: []types.Output{{Key: one.keys[0], Source: "username"}, {Key: one.keys[1], Source: "password"}},
		})
		h.must(err)
	}
	holders := map[string]*client.Client{}
	for _, one := range []struct {
		account, kind, secret, name string
		ttl                         time.Duration
	}{
		{"order-worker", "service", "payments/production/orders-ro", "order-worker-7f9c", 55 * time.Minute},
		{"order-worker", "service", "payments/production/orders-ro", "order-worker-b21d", 42 * time.Minute},
		{"billing-api", "service", "payments/production/billing-rw", "billing-api-0", 25 * time.Minute},
		{"billing-api", "service", "payments/production/billing-rw", "billing-api-1", 28 * time.Minute},
		{"maria", "user", "analytics/production/warehouse-reader", "churn notebook", 3 * time.Hour},
		{"jonas", "user", "payments/staging/orders-ro", "debugging OPS-1412", 50 * time.Minute},
		{"nightly-load", "service", "analytics/production/nightly-load", "load 2026-11-28", 95 * time.Minute},
		{"storefront", "service", "shop/production/catalogue-rw", "storefront-eu-1", 35 * time.Minute},
		{"storefront", "service", "shop/production/catalogue-rw", "storefront-us-1", 38 * time.Minute},
	} {
		if holders[one.account] == nil {
			_, err := c.CreateAccount(ctx, types.AccountSpec{Name: one.account, Kind: one.kind})
			h.must(err)
			app, _, _ := strings.Cut(one.secret, "/")
			_, err = c.CreateRoleBinding(ctx, types.RoleBindingSpec{Role: "developer", Account: one.account, Scope: app + "/*"})
			h.must(err)
			made, err := c.CreateToken(ctx, types.TokenSpec{Account: one.account})
			h.must(err)
			holders[one.account] = h.ClientOf(made.Token)
		}
		ttl := types.Duration(one.ttl)
		if _, err := holders[one.account].IssueLease(ctx, one.secret, types.IssueSpec{Name: one.name, TTL: &ttl}); err != nil {
			h.must(fmt.Errorf("furnishing: %w", err))
		}
	}
}
