package daemon

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestKubeconfigThatLacksSomething(t *testing.T) {
	const whole = `
clusters: [{name: c, cluster: {server: "https://host"}}, {name: empty, cluster: {}}]
users: [{name: u, user: {}}]
contexts:
- {name: a, context: {cluster: c, user: u}}
- {name: b, context: {cluster: gone}}
- {name: d, context: {cluster: c, user: gone}}
- {name: e, context: {cluster: empty}}
`
	tests := map[string]struct {
		text, context string
		want          string // FILE stands for the file; empty: it is good
	}{
		"no current-context":   {text: whole, want: "the kubeconfig FILE has no current-context; use --context with one of: a, b, d, e"},
		"context chosen":       {text: whole, context: "a"},
		"empty":                {text: "", want: "the kubeconfig FILE is empty: it has no contexts, clusters or users"},
		"no contexts":          {text: "users: [{name: u, user: {}}]", want: "the kubeconfig FILE has no contexts"},
		"no such context":      {text: whole, context: "x", want: `the kubeconfig FILE has no context "x"; it has: a, b, d, e`},
		"wrong current":        {text: whole + "current-context: other", want: `the kubeconfig FILE has no context "other"; it has: a, b, d, e`},
		"current is overruled": {text: whole + "current-context: other", context: "a"},
		"no cluster":           {text: whole, context: "b", want: `the kubeconfig FILE has no cluster "gone", which context "b" names`},
		"no user":              {text: whole, context: "d", want: `the kubeconfig FILE has no user "gone", which context "d" names`},
		"no server":            {text: whole, context: "e", want: `the kubeconfig FILE has no server for cluster "empty"`},
	}
	for name, tc := range tests {
		for _, by := range []string{"--kubeconfig", "KUBECONFIG"} {
			t.Run(name+" by "+by, func(t *testing.T) {
				file := filepath.Join(t.TempDir(), "config")
				if err := os.WriteFile(file, []byte(tc.text), 0o600); err != nil {
					t.Fatal(err)
				}
				path := file
				if by == "KUBECONFIG" {
					t.Setenv("KUBECONFIG", file)
					path = ""
				}
				_, err := loadClusterConfig(path, tc.context)
				want := strings.ReplaceAll(tc.want, "FILE", file)
				switch {
				case want == "" && err != nil:
					t.Errorf("error %v", err)
				case want != "" && (err == nil || err.Error() != "finding the API server: "+want):
					t.Errorf("error %v\nwant finding the API server: %s", err, want)
				}
			})
		}
	}
}

func TestKubeconfigThatIsNotThere(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "gone")
	t.Setenv("KUBECONFIG", missing)
	_, err := loadClusterConfig("", "")
	if want := `finding the API server: $KUBECONFIG is "` + missing + `": there is no such file`; err == nil || err.Error() != want {
		t.Errorf("by the environment: %v\nwant %s", err, want)
	}
	_, err = loadClusterConfig(missing, "")
	if err == nil || !strings.Contains(err.Error(), missing) {
		t.Errorf("by the flag: %v", err)
	}
}
