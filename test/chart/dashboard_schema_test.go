package chart

import (
	"errors"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	schema "github.com/grafana/grafana-foundation-sdk/go/cog/variants"
	grafana "github.com/grafana/grafana-foundation-sdk/go/dashboard"
	promql "github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/statetimeline"
	"github.com/grafana/grafana-foundation-sdk/go/table"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

// unchosen is the choice of a variable that nobody has chosen yet. Grafana writes an empty one into
// a dashboard that is exported, though its schema wants more.
var unchosen = regexp.MustCompile(`^templating\.list\[\d+\]\.current\.(text|value)$`)

// TestDashboardSchema reads the dashboard by the schemas of Grafana: of a dashboard, of
// each type of panel that is in it, and of queries to Prometheus. A field that they do not know,
// one that has another type, and one that is missing is a mistake.
func TestDashboardSchema(t *testing.T) {
	t.Parallel()
	schemas := cog.NewRuntime()
	for _, panel := range []schema.PanelcfgConfig{stat.VariantConfig(), statetimeline.VariantConfig(), table.VariantConfig(), timeseries.VariantConfig()} {
		schemas.RegisterPanelcfgVariant(panel)
	}
	schemas.RegisterDataqueryVariant(promql.VariantConfig())
	for _, p := range readDashboard(t).Panels {
		if _, known := schemas.ConfigForPanelcfgVariant(p.Type); !known && p.Type != "row" {
			t.Errorf("panel %q: there is no schema for the type %s in this test", p.Title, p.Type)
		}
	}
	var d grafana.Dashboard //nolint:staticcheck // The other schema is that of Grafana's own API server, from version 12 on.
	err := d.UnmarshalJSONStrict([]byte(readFile(t, filepath.Join(chartDir, "files", "dashboard.json"))))
	var mistakes cog.BuildErrors
	if err != nil && !errors.As(err, &mistakes) {
		t.Fatalf("reading the dashboard: %v", err)
	}
	for _, mistake := range mistakes {
		if !unchosen.MatchString(mistake.Path) {
			t.Error(mistake)
		}
	}
	if err := d.Validate(); err != nil {
		t.Errorf("validating the dashboard: %v", err)
	}
}
