package chart

import (
	"encoding/json"
	"errors"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
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
	text := []byte(readFile(t, filepath.Join(chartDir, "files", "dashboard.json")))
	var d grafana.Dashboard //nolint:staticcheck // The other schema is that of Grafana's own API server, from version 12 on.
	for _, mistake := range mistakesOf(t, d.UnmarshalJSONStrict(text)) {
		if !isUnchosen(mistake, text) {
			t.Error(mistake)
		}
	}
	if err := d.Validate(); err != nil {
		t.Errorf("validating the dashboard: %v", err)
	}
	for _, p := range d.Panels {
		if p.Panel != nil && p.Panel.Options == nil {
			t.Errorf("panel %q has no options", *p.Panel.Title)
		}
	}
	checkFieldConfigs(t, text)
}

// checkFieldConfigs reads what panels say of values. The reader of a dashboard is not strict there.
func checkFieldConfigs(t *testing.T, text []byte) {
	t.Helper()
	var raw struct {
		Panels []struct {
			Title       string          `json:"title"`
			Type        string          `json:"type"`
			FieldConfig json.RawMessage `json:"fieldConfig"`
		} `json:"panels"`
	}
	if err := json.Unmarshal(text, &raw); err != nil {
		t.Fatalf("reading the dashboard: %v", err)
	}
	for _, p := range raw.Panels {
		if p.Type == "row" {
			continue
		}
		for _, mistake := range mistakesOf(t, new(grafana.FieldConfigSource).UnmarshalJSONStrict(p.FieldConfig)) {
			t.Errorf("panel %q: fieldConfig.%v", p.Title, mistake)
		}
	}
}

// mistakesOf are those that the reader of a schema has found.
func mistakesOf(t *testing.T, err error) (mistakes cog.BuildErrors) {
	t.Helper()
	if err != nil && !errors.As(err, &mistakes) {
		t.Fatalf("reading the dashboard: %v", err)
	}
	return mistakes
}

var choice = regexp.MustCompile(`^templating\.list\[(\d+)\]\.current\.(text|value)$`)

// isUnchosen reports whether a mistake is that nobody has chosen a value of a variable yet. Grafana
// writes an empty choice into a dashboard that is exported, though its schema wants more.
func isUnchosen(mistake *cog.BuildError, text []byte) bool {
	at := choice.FindStringSubmatch(mistake.Path)
	if at == nil || !strings.Contains(mistake.Message, "missing") {
		return false
	}
	var raw struct {
		Templating struct {
			List []struct {
				Current map[string]any `json:"current"`
			} `json:"list"`
		} `json:"templating"`
	}
	i, err := strconv.Atoi(at[1])
	return err == nil && json.Unmarshal(text, &raw) == nil && len(raw.Templating.List[i].Current) == 0
}
