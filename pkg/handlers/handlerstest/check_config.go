package handlerstest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/cuecontext"
	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"

	"kooperd.dev/kooperd/pkg/handlers"
)

func checkSummary(t *testing.T, summary string) {
	t.Helper()
	if strings.ContainsAny(summary, "\r\n") || strings.HasSuffix(summary, ".") {
		t.Errorf("summary %q: want one line without a full stop", summary)
	}
}

// defaults checks that a plugin whose schema requires nothing works without a config.
func (c *check) defaults(t *testing.T) {
	if err := c.accepts("{}"); err != nil {
		t.Skipf("the schema requires a field: %v", err)
	}
	if _, problems, err := c.registry.Bind(c.name, nil); err != nil || len(problems) > 0 {
		t.Errorf("the defaults are no valid config, and the schema requires no field: %v %+v", err, problems)
	}
}

// accepts tells why the schema refuses a config, nil when it does not.
func (c *check) accepts(config string) error {
	ctx := cuecontext.New()
	schema, err := handlers.CompileSchema(ctx, c.schema)
	if err != nil {
		return err
	}
	value := ctx.CompileString(config, cue.Filename("config.json"))
	if err := value.Err(); err != nil {
		return fmt.Errorf("parsing config: %w", err)
	}
	return schema.Unify(value).Validate(cue.Concrete(true))
}

// separateConfigs checks that binding one config changes no other, as it does when Defaults hands
// out the same map twice.
func (c *check) separateConfigs(t *testing.T) {
	configs := slices.Sorted(maps.Values(c.opts.Configs))
	if _, problems, err := c.registry.Bind(c.name, []byte("{}")); err == nil && len(problems) == 0 {
		configs = slices.Insert(configs, 0, "{}") // first, while the defaults are still what they should be
	}
	effective := func(raw string) string {
		return string(c.bind(t, raw).JSON())
	}
	before := map[string]string{}
	for _, raw := range configs {
		before[raw] = effective(raw)
	}
	for _, raw := range configs {
		if diff := cmp.Diff(before[raw], effective(raw)); diff != "" {
			t.Errorf("config %s has another effect after other configs were bound: do not share maps or slices in Defaults (-before +after):\n%s",
				raw, diff)
		}
	}
}

// validConfig checks that the schema accepts a config and its effective form, and that both have
// the same effect.
func (c *check) validConfig(t *testing.T, raw string) {
	if err := c.accepts(raw); err != nil {
		t.Errorf("the schema refuses config %s: %v", raw, err)
	}
	effective := c.bind(t, raw).JSON()
	if err := c.accepts(string(effective)); err != nil {
		t.Errorf("the schema refuses the effective config %s: %v", effective, err)
	}
	again := c.bind(t, string(effective)).JSON()
	if diff := cmp.Diff(string(effective), string(again)); diff != "" {
		t.Errorf("the effective config has another effect than the config itself (-config +effective):\n%s", diff)
	}
}

// checkRules checks that every rule says something, and no rule everything.
func checkRules(t *testing.T, rules []rbacv1.PolicyRule) {
	t.Helper()
	for _, rule := range rules {
		resources := len(rule.APIGroups) > 0 && len(rule.Resources) > 0
		if len(rule.Verbs) == 0 || resources == (len(rule.NonResourceURLs) > 0) {
			t.Errorf("rule %+v: want verbs, and either API groups with resources or URLs", rule)
		}
		if slices.Contains(rule.Verbs, rbacv1.VerbAll) {
			t.Errorf("rule %+v: want the verbs that are needed, not all of them", rule)
		}
	}
}
