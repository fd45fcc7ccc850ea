package daemon_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"kooperd.dev/kooperd/pkg/daemon"
	"kooperd.dev/kooperd/pkg/handlers/builtin"
)

var update = flag.Bool("update", false, "write the golden files of testdata anew")

const (
	fencedConfig = `apiVersion: kooperd.dev/v1alpha1
leaderElection: {name: controllers, namespace: locks}
controllers:
  pods: {watch: {apiVersion: v1, kind: Pod}, handler: {log: {}}}
`
	everyReplicaConfig = `apiVersion: kooperd.dev/v1alpha1
controllers:
  pods: {watch: {apiVersion: v1, kind: Pod}, handler: {log: {}}}
  nodes: {watch: {apiVersion: v1, kind: Node}, handler: {log: {}}, leaderElection: disabled}
  zones: {watch: {apiVersion: v1, kind: Node}, handler: {log: {}}, leaderElection: disabled, paused: true}
`
	fencedAccount = "kooper-system/kooperd"
)

// runFence runs the command with a config file of the given text.
func runFence(t *testing.T, config string, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "controllers.yaml")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	status = daemon.Run(t.Context(), daemon.Options{
		Args: append([]string{"fence", "--config", path}, args...), Stdout: &out, Stderr: &errs, Plugins: builtin.Plugins(),
	})
	return out.String(), errs.String(), status
}

// compareGolden compares what was printed with a file, or writes the file.
func compareGolden(t *testing.T, file, printed string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(printed), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), printed); diff != "" {
		t.Errorf("printed (-want +got):\n%s", diff)
	}
}

func TestFence(t *testing.T) {
	cases := map[string]struct {
		config     string
		args       []string
		golden     string
		wantStderr string
	}{
		"namespace of the config": {
			config: fencedConfig, golden: "config-namespace.yaml",
		},
		"namespace said twice": {
			config: fencedConfig, args: []string{"--namespace", "locks"}, golden: "config-namespace.yaml",
		},
		"JSON": {
			config: fencedConfig, args: []string{"--format", "json"}, golden: "config-namespace.json",
		},
		"namespace of the service account": {
			config: strings.Replace(fencedConfig, ", namespace: locks", "", 1), golden: "account-namespace.yaml",
		},
		"namespace of the flag": {
			config: strings.Replace(fencedConfig, ", namespace: locks", "", 1), args: []string{"-n", "locks"}, golden: "flag-namespace.yaml",
		},
		"definitions on every replica": {
			config: everyReplicaConfig, args: []string{"--allow-every-replica"}, golden: "every-replica.yaml",
			wantStderr: "kooperd: warning: these definitions run on every replica, and all that they write is refused on the replicas that do not hold the lease: nodes, zones\n",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			stdout, stderr, status := runFence(t, tc.config, append(tc.args, "--service-account", fencedAccount)...)
			if status != daemon.ExitOK || stderr != tc.wantStderr {
				t.Errorf("exit status is %d and standard error %q, want 0 and %q", status, stderr, tc.wantStderr)
			}
			compareGolden(t, filepath.Join("testdata", "fence", tc.golden), stdout)
		})
	}
}

// TestFenceFormats reads the JSON and the YAML of one fence as kubectl does: they say the same.
func TestFenceFormats(t *testing.T) {
	asJSON, _, _ := runFence(t, fencedConfig, "--service-account", fencedAccount, "-o", "json")
	var list struct {
		APIVersion, Kind string
		Items            []any
	}
	if err := json.Unmarshal([]byte(asJSON), &list); err != nil {
		t.Fatal(err)
	}
	if list.APIVersion != "v1" || list.Kind != "List" {
		t.Errorf("have a %s of %s, want a List of v1", list.Kind, list.APIVersion)
	}
	asYAML, _, _ := runFence(t, fencedConfig, "--service-account", fencedAccount)
	if diff := cmp.Diff(decodeDocuments(t, asYAML), list.Items); diff != "" {
		t.Errorf("items (-YAML +JSON):\n%s", diff)
	}
}

func TestFenceRefuses(t *testing.T) {
	good := []string{"--service-account", fencedAccount}
	cases := map[string]struct {
		config string
		args   []string
		want   string
	}{
		"no account":             {config: fencedConfig, want: "no service account: use --service-account NAMESPACE/NAME"},
		"account without a name": {config: fencedConfig, args: []string{"--service-account", "kooperd"}, want: `service account "kooperd": want NAMESPACE/NAME`},
		"account with three parts": {config: fencedConfig, args: []string{"--service-account", "a/b/c"},
			want: `service account "a/b/c": the name is not valid: a lowercase RFC 1123 subdomain must consist of lower case alphanumeric ` +
				`characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is ` +
				`'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')`},
		"format":    {config: fencedConfig, args: append([]string{"-o", "cue"}, good...), want: `unknown format "cue", want one of: yaml, json`},
		"namespace": {config: fencedConfig, args: append([]string{"-n", "other"}, good...), want: `--namespace is "other", but the config says leaderElection.namespace: "locks"`},
		"no election": {
			config: "apiVersion: kooperd.dev/v1alpha1\nleaderElection: disabled\ncontrollers: {}\n", args: good,
			want: `leaderElection is "disabled" in the config: without a lease there is no holder to tell apart`,
		},
		"config map": {
			config: "apiVersion: kooperd.dev/v1alpha1\nleaderElection: {lock: configMap}\ncontrollers: {}\n", args: good,
			want: `leaderElection.lock is "configMap" in the config: the fence goes by the holder of a Lease`,
		},
		"nothing under the lease": {
			config: "apiVersion: kooperd.dev/v1alpha1\ncontrollers: {}\n", args: append([]string{"--allow-every-replica"}, good...),
			want: "no definition in the config runs under the lease: no replica would ever hold it",
		},
		"definitions on every replica": {
			config: everyReplicaConfig, args: good,
			want: "the fence would refuse what these definitions write, because they run on every replica: nodes, zones; give them their own config and " +
				"service account, or use --allow-every-replica if their handlers write nothing in the cluster",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			stdout, stderr, status := runFence(t, tc.config, tc.args...)
			if status != daemon.ExitUsage || stdout != "" {
				t.Errorf("exit status is %d and standard output %q, want 2 and nothing", status, stdout)
			}
			if diff := cmp.Diff("kooperd: "+tc.want+"\n", stderr); diff != "" {
				t.Errorf("standard error (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFenceNeedsAGoodConfig(t *testing.T) {
	stdout, stderr, status := runFence(t, "apiVersion: kooperd.dev/v1alpha1\ncontrolers: {}\n", "--service-account", fencedAccount)
	if status != daemon.ExitUsage || stdout != "" || !strings.Contains(stderr, "controllers.yaml:2:1: ") {
		t.Errorf("exit status is %d, standard output %q, standard error %q; want 2, nothing, and the place of the mistake", status, stdout, stderr)
	}
	var errs bytes.Buffer
	status = daemon.Run(t.Context(), daemon.Options{Args: []string{"fence"}, Stdout: &errs, Stderr: &errs})
	if status != daemon.ExitUsage || errs.String() != "kooperd: no config: use --config FILE\n" {
		t.Errorf("exit status is %d, and it says %q; want 2 and no config", status, errs.String())
	}
}

// decodeDocuments reads a stream of YAML documents, of which those with nothing but comments are
// none.
func decodeDocuments(t *testing.T, text string) []any {
	t.Helper()
	var documents []any
	for part := range strings.SplitSeq(text, "---\n") {
		var document any
		if err := yaml.Unmarshal([]byte(part), &document); err != nil {
			t.Fatal(err)
		}
		if document != nil {
			documents = append(documents, document)
		}
	}
	return documents
}
