package config_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/handlers"
)

// rolloutFile is a file with a definition that has these lines.
func rolloutFile(t *testing.T, lines string) string {
	t.Helper()
	return write(t, "f.yaml", "apiVersion: kooperd.dev/v1alpha1\ncontrollers:\n  sites:\n    watch: {apiVersion: example.com/v1, kind: Site}\n"+lines)
}

func loadComposers(t *testing.T, file string) (*config.Config, error) {
	t.Helper()
	registry, err := handlers.NewRegistry(composerPlugin, logPlugin)
	if err != nil {
		t.Fatal(err)
	}
	return config.Load(t.Context(), []string{file}, config.Options{Registry: registry})
}

func TestRollout(t *testing.T) {
	number := func(n int) config.Share { return config.Share{Number: n} }
	for text, want := range map[string]*config.Rollout{
		`{}`:                    {MaxUnavailable: number(1)},
		`{maxUnavailable: 3}`:   {MaxUnavailable: number(3)},
		`{maxUnavailable: 10%}`: {MaxUnavailable: config.Share{Percent: 10}},
		`{pauseWhen: {}}`:       {MaxUnavailable: number(1), PauseWhen: &config.PauseWhen{NotReady: number(1), LongerThan: 10 * time.Minute}},
		`{maxUnavailable: 100%, pauseWhen: {notReady: 2%, longerThan: 90s}}`: {
			MaxUnavailable: config.Share{Percent: 100}, PauseWhen: &config.PauseWhen{NotReady: config.Share{Percent: 2}, LongerThan: 90 * time.Second},
		},
	} {
		cfg, err := loadComposers(t, rolloutFile(t, "    handler: {children: {}}\n    rollout: "+text+"\n"))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if diff := cmp.Diff(want, cfg.Definitions[0].Rollout); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
		printed, err := config.Effective(cfg, config.YAML)
		if err != nil {
			t.Fatal(err)
		}
		again, err := loadComposers(t, write(t, "g.yaml", string(printed)))
		if err != nil {
			t.Errorf("%s: what is printed does not load: %v\n%s", text, err, printed)
			continue
		}
		if diff := cmp.Diff(want, again.Definitions[0].Rollout); diff != "" {
			t.Errorf("%s, printed and read (-want +got):\n%s", text, diff)
		}
		if again.Definitions[0].Digest != cfg.Definitions[0].Digest {
			t.Errorf("%s: printed and read, the definition is another one", text)
		}
	}
}

func TestRolloutMistakes(t *testing.T) {
	const composer = "    handler: {children: {}}\n"
	for name, tc := range map[string]struct{ lines, want string }{
		"of another plugin": {
			"    handler: {log: {}}\n    rollout: {maxUnavailable: 1}\n",
			`6:14: controllers.sites.rollout: the log plugin makes no composers, whose children kooperd keeps; leave it out`,
		},
		"none": {
			composer + "    rollout: {maxUnavailable: 0}\n",
			`6:31: controllers.sites.rollout.maxUnavailable: want a whole number from 1 to 1000000, or a percentage such as "10%", have 0`,
		},
		"no percent": {
			composer + "    rollout: {maxUnavailable: 0%}\n",
			`6:31: controllers.sites.rollout.maxUnavailable: want a whole number from 1 to 1000000, or a percentage such as "10%", have "0%"`,
		},
		"more than all": {
			composer + "    rollout: {maxUnavailable: 101%}\n",
			`6:31: controllers.sites.rollout.maxUnavailable: want a whole number from 1 to 1000000, or a percentage such as "10%", have "101%"`,
		},
		"never reached": {
			composer + "    rollout: {maxUnavailable: 2, pauseWhen: {notReady: 3}}\n",
			`6:56: controllers.sites.rollout.pauseWhen.notReady: is more than maxUnavailable, 2: so many are never reached; want at most 2`,
		},
		"too soon": {
			composer + "    rollout: {pauseWhen: {longerThan: 1ms}}\n",
			`6:39: controllers.sites.rollout.pauseWhen.longerThan: want at least 1s, have 1ms`,
		},
		"of parents that are not always handled": {
			composer + "    where: oldObject == null || object != oldObject\n    rollout: {}\n",
			`7:14: controllers.sites.rollout: the definition has a where that names oldObject: objects that do not change are not handled, ` +
				`so nobody knows which of them have what is desired; write a where that goes by object alone`,
		},
		"another field": {
			composer + "    rollout: {maxSurge: 1}\n",
			`6:15: controllers.sites.rollout.maxSurge: unknown field; known here: maxUnavailable and pauseWhen`,
		},
	} {
		file := rolloutFile(t, tc.lines)
		_, err := loadComposers(t, file)
		if want := file + ":" + tc.want; err == nil || err.Error() != want {
			t.Errorf("%s: %v\nwant:\n%s", name, err, want)
		}
	}
}

// TestShareOf rounds up, as Kubernetes does for DaemonSets.
func TestShareOf(t *testing.T) {
	var got []string
	for _, share := range []config.Share{{Number: 3}, {Percent: 1}, {Percent: 10}, {Percent: 100}} {
		for _, total := range []int{0, 1, 10, 11, 200} {
			got = append(got, fmt.Sprintf("%s of %d: %d", share, total, share.Of(total)))
		}
	}
	const want = "3 of 0: 3, 3 of 1: 3, 3 of 10: 3, 3 of 11: 3, 3 of 200: 3, " +
		"1% of 0: 1, 1% of 1: 1, 1% of 10: 1, 1% of 11: 1, 1% of 200: 2, " +
		"10% of 0: 1, 10% of 1: 1, 10% of 10: 1, 10% of 11: 2, 10% of 200: 20, " +
		"100% of 0: 1, 100% of 1: 1, 100% of 10: 10, 100% of 11: 11, 100% of 200: 200"
	if diff := cmp.Diff(want, strings.Join(got, ", ")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// defaultRollout is a rollout of which nothing is said, as it is printed.
func defaultRollout(t *testing.T) map[string]any {
	t.Helper()
	cfg, err := loadComposers(t, rolloutFile(t, "    handler: {children: {}}\n    rollout: {pauseWhen: {}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	printed, err := config.Effective(cfg, config.JSON)
	if err != nil {
		t.Fatal(err)
	}
	var have struct{ Controllers map[string]map[string]any }
	if err := yaml.Unmarshal(printed, &have); err != nil {
		t.Fatal(err)
	}
	return have.Controllers["sites"]["rollout"].(map[string]any)
}
