package daemon

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"

	"kooperd.dev/kooperd/pkg/access"
	"kooperd.dev/kooperd/pkg/telemetry"
)

// TestFindingLog looks several times at a namespace that is not there, then is, and then is not
// again.
func TestFindingLog(t *testing.T) {
	namespace := access.Finding{Message: "namespace none does not exist", Namespace: "none"}
	right := access.Finding{Message: "forbidden to watch leases", Optional: true, Rule: &rbacv1.PolicyRule{}}
	var out bytes.Buffer
	logger, err := telemetry.NewLogger(&out, telemetry.FormatText, 0)
	if err != nil {
		t.Fatal(err)
	}
	log := findingLog{logger: logger}
	for _, found := range [][]access.Finding{{namespace, right}, {namespace, right}, {right}, {right}, {namespace, right}} {
		log.write(found)
	}
	var have []string
	for line := range strings.Lines(out.String()) {
		_, rest, _ := strings.Cut(line, " ") // without the time
		have = append(have, strings.TrimSpace(rest))
	}
	missing := `level=ERROR msg="the namespace of the lease does not exist" namespace=none`
	want := []string{missing, `level=INFO msg="a right to the lease is missing" reason="forbidden to watch leases" optional=true`, missing}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("log (-want +have):\n%s", diff)
	}
}
