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
	UID        string `json:"uid"`
	Templating struct {
		List []struct {
			Name  string `json:"name"`
			Type  string `json:"type"`
			Query any    `json:"query"`
		} `json:"list"`
	} `json:"templating"`
	Panels []panel `json:"panels"`
}

// panel is a panel, or the heading of a row.
type panel struct {
	ID         int    `json:"id"`
	Type       string `json:"type"`
	Title      string `json:"title"`
	Datasource *struct {
		UID string `json:"uid"`
	} `json:"datasource"`
	GridPos     struct{ H, W, X, Y int } `json:"gridPos"`
	FieldConfig struct {
		Defaults struct {
			Unit string `json:"unit"`
		} `json:"defaults"`
	} `json:"fieldConfig"`
	Targets []struct {
		RefID string `json:"refId"`
		Expr  string `json:"expr"`
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
