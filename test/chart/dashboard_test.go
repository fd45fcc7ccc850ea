package chart

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// dashboard is as much of the dashboard as the tests look at.
type dashboard struct {
	UID           string `json:"uid"`
	Title         string `json:"title"`
	SchemaVersion int    `json:"schemaVersion"`
	Templating    struct {
		List []templateVariable `json:"list"`
	} `json:"templating"`
	Panels []panel `json:"panels"`
}

// templateVariable is one that is chosen at the head of the dashboard.
type templateVariable struct {
	Name       string     `json:"name"`
	Type       string     `json:"type"`
	Query      any        `json:"query"`
	Definition string     `json:"definition"`
	Datasource dataSource `json:"datasource"`
}

// dataSource names where a panel, a query, or a variable asks.
type dataSource struct {
	Type string `json:"type"`
	UID  string `json:"uid"`
}

// panel is a panel, or the heading of a row.
type panel struct {
	ID          int                      `json:"id"`
	Type        string                   `json:"type"`
	Title       string                   `json:"title"`
	Collapsed   *bool                    `json:"collapsed"`
	Panels      *[]panel                 `json:"panels"`
	Datasource  *dataSource              `json:"datasource"`
	GridPos     struct{ H, W, X, Y int } `json:"gridPos"`
	FieldConfig struct {
		Defaults struct {
			Unit string `json:"unit"`
		} `json:"defaults"`
	} `json:"fieldConfig"`
	Targets []struct {
		RefID      string     `json:"refId"`
		Expr       string     `json:"expr"`
		Datasource dataSource `json:"datasource"`
	} `json:"targets"`
}

func readDashboard(t *testing.T) (d dashboard) {
	t.Helper()
	if err := json.Unmarshal([]byte(readFile(t, filepath.Join(chartDir, "files", "dashboard.json"))), &d); err != nil {
		t.Fatalf("reading the dashboard: %v", err)
	}
	return d
}

// target is one query of the dashboard.
type target struct{ where, expr string }

// targets are the queries of all panels, and of the variables.
func (d dashboard) targets() (all []target) {
	for _, p := range d.Panels {
		for _, q := range p.Targets {
			all = append(all, target{fmt.Sprintf("panel %q %s", p.Title, q.RefID), q.Expr})
		}
	}
	for _, v := range d.Templating.List {
		query, _ := v.Query.(map[string]any)
		text, _ := query["query"].(string)
		if inner, ok := strings.CutPrefix(text, "label_values("); ok {
			at := strings.LastIndex(inner, ",")
			label := strings.TrimSuffix(strings.TrimSpace(inner[at+1:]), ")")
			all = append(all, target{"variable " + v.Name, fmt.Sprintf("max by (%s) (%s)", label, inner[:at])})
		}
	}
	return all
}

// variable is one that a query, a title or a data source names.
var variable = regexp.MustCompile(`\$\{?([a-zA-Z_]+)`)

// What the dashboard consists of fits together. Grafana shows errors, or nothing, for panels that
// it cannot lay out, and for variables and data sources that it does not know.
func TestDashboard(t *testing.T) {
	d := readDashboard(t)
	known := []string{"__rate_interval"}
	for _, v := range d.Templating.List {
		known = append(known, v.Name)
	}
	var rows, titles []string
	ids := map[int]bool{}
	taken := map[[2]int]string{} // by the squares of the grid
	for _, p := range d.Panels {
		if ids[p.ID] {
			t.Errorf("two panels have the id %d", p.ID)
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" || x >= 24 {
					t.Errorf("panel %q lies on panel %q, or beyond the grid", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		text, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range variable.FindAllStringSubmatch(string(text), -1) {
			if !slices.Contains(known, name[1]) {
				t.Errorf("panel %q has the variable %s, and there is none", p.Title, name[1])
			}
		}
		if p.Type == "row" {
			rows, titles = append(rows, p.Title), nil
			continue
		}
		if p.Datasource == nil || p.Datasource.UID != "${datasource}" || len(p.Targets) == 0 || p.FieldConfig.Defaults.Unit == "" {
			t.Errorf("panel %q has no data source, no query, or no unit", p.Title)
		}
		if slices.Contains(titles, p.Title) || p.Title == "" {
			t.Errorf("two panels of row %s have the title %q", rows[len(rows)-1], p.Title)
		}
		titles = append(titles, p.Title)
	}
	wantSame(t, "the rows", rows, []string{"Overview", "Definition $controller", "Children", "Hooks", "Election", "Reload"})
	config := render(t, "helm4", "platform", "--values", examples(t)["one-namespace"],
		"--set", "metrics.dashboard.enabled=true,metrics.dashboard.annotations.folder=kooperd")
	for _, object := range config.of("ConfigMap") {
		if object.GetLabels()["grafana_dashboard"] != "1" {
			continue
		}
		wantSame(t, "the annotations", object.GetAnnotations(), map[string]string{"folder": "kooperd"})
		var rendered dashboard
		text, _ := field(t, object, "data", "kooperd.json").(string)
		if err := json.Unmarshal([]byte(text), &rendered); err != nil {
			t.Fatal(err)
		}
		wantSame(t, "the rendered dashboard", rendered, d)
		return
	}
	t.Error("there is no ConfigMap with the label of dashboards")
}

// chosen is the data source that is chosen at the head of the dashboard.
var chosen = dataSource{Type: "prometheus", UID: "${datasource}"}

// What the schemas of Grafana leave open is as it must be. No Grafana runs here to say so.
func TestDashboardPanels(t *testing.T) {
	d := readDashboard(t)
	// 16 is the grid of rows and panels as it is today, 41 what the latest releases write.
	if d.UID == "" || len(d.UID) > 40 || d.Title == "" || d.SchemaVersion < 16 || d.SchemaVersion > 41 {
		t.Errorf("the dashboard is %q %q, of version %d of the schema", d.UID, d.Title, d.SchemaVersion)
	}
	for i, v := range d.Templating.List {
		query, _ := v.Query.(map[string]any)
		switch {
		case i == 0 && (v.Name != "datasource" || v.Type != "datasource" || v.Query != "prometheus"):
			t.Error("the first variable is not the data source, which the others need")
		case i > 0 && (v.Type != "query" || v.Datasource != chosen || query["refId"] == nil || query["query"] != v.Definition):
			t.Errorf("variable %s does not ask the data source, or what it shows is not what it asks", v.Name)
		}
	}
	for _, p := range d.Panels {
		if p.Type == "row" {
			if p.Collapsed == nil || p.Panels == nil || p.GridPos.W != 24 || p.GridPos.H != 1 || p.GridPos.X != 0 {
				t.Errorf("row %q is no row", p.Title)
			}
			continue
		}
		if p.ID <= 0 || p.GridPos.W <= 0 || p.GridPos.H <= 0 || p.Datasource == nil || *p.Datasource != chosen {
			t.Errorf("panel %q is at %v, and asks %v", p.Title, p.GridPos, p.Datasource)
		}
		seen := map[string]bool{}
		for _, target := range p.Targets {
			if target.RefID == "" || seen[target.RefID] || target.Expr == "" || target.Datasource != chosen {
				t.Errorf("query %q of panel %q is there twice, or asks nothing, or asks %v", target.RefID, p.Title, target.Datasource)
			}
			seen[target.RefID] = true
		}
	}
}
