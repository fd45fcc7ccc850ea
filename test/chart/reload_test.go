package chart

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kooperd.dev/kooperd/test/cluster"
)

// The ConfigMaps of a release that reloads.
const (
	followedConfigMap = objectName + "-config"
	acceptedConfigMap = followedConfigMap + "-accepted"
)

// A config is mounted and its change is a rollout, or it is followed and its change changes no pod.
// The settings of the lease are mounted in both cases, each version with its own ConfigMap. Nothing
// is mounted by subPath, which the kubelet would not update.
func TestRolloutOrReload(t *testing.T) {
	rendered := func(t *testing.T, args ...string) *appsv1.Deployment {
		t.Helper()
		all := render(t, "helm4", "demo", append([]string{"--values", examples(t)["one-namespace"]}, args...)...)
		deployment := &appsv1.Deployment{}
		deployment.Spec.Template.Spec = podOf(t, all.get(t, "Deployment"), "spec", "template", "spec")
		deployment.Spec.Template.Annotations = stringMap(t, all.get(t, "Deployment"), "spec", "template", "metadata", "annotations")
		for _, volume := range deployment.Spec.Template.Spec.Containers[0].VolumeMounts {
			if volume.SubPath != "" || volume.SubPathExpr != "" {
				t.Errorf("%s is mounted by subPath", volume.Name)
			}
		}
		return deployment
	}
	changed := []string{"--set-string", `configFiles.more\.yaml=controllers: {}`}
	lease := []string{"--set", "leaderElection.leaseDuration=20s"}
	for _, reload := range []string{"reload=true", "reload=false"} {
		t.Run(reload, func(t *testing.T) {
			with := func(more []string) []string { return append([]string{"--set", reload}, more...) }
			before := rendered(t, with(nil)...)
			args := before.Spec.Template.Spec.Containers[0].Args
			wantSame(t, "that it reads the config once", slices.Contains(args, "--reload=false"), reload == "reload=false")
			wantSame(t, "that it follows the config", slices.Contains(args, "--config=configmap:demo/demo-kooperd-config"), reload == "reload=true")
			same := func(more []string) bool {
				after := rendered(t, with(more)...)
				return cmp.Equal(before.Spec.Template, after.Spec.Template)
			}
			wantSame(t, "that another config leaves the pods", same(changed), reload == "reload=true")
			wantSame(t, "that other settings of the lease leave the pods", same(lease), false)
		})
	}
}

// TestReload changes the config of a release by "helm upgrade" while its processes run: they take
// it, no pod changes, and after a bad one a container that starts again runs the last good one. The
// rights of the release are those that its pods need.
func TestReload(t *testing.T) {
	forOneHelm(t, func(t *testing.T, version string) {
		mark := shared.AuditMark(t)
		args := []string{"--values", examples(t)["one-namespace"], "--set", "shutdownDelaySeconds=0,reload=true"}
		paged := version == "helm3"
		if paged {
			args = append(args, "--set", "env[0].name=KUBE_FEATURE_WatchListClient", "--set-string", "env[0].value=false")
		}
		r := install(t, version, args...)
		granted := r.manifests(t).grants(t)
		works["one-namespace"](t, r)
		before := r.deployment(t)
		leader := r.leader(t)
		wantSame(t, "the hash of the files of the release", r.filesHash(t), leader.AwaitLog(t, "starting kooperd").Field("configHash"))

		r.upgradeConfig(t, "controllers: {again: {watch: {apiVersion: v1, kind: Service, namespaces: [payments]}, handler: {log: {message: again}}}}")
		changed := leader.AwaitLog(t, "config changed")
		wantSame(t, "the hash of the changed files of the release", r.filesHash(t), changed.Field("hash"))
		leader.AwaitLog(t, "again", "name", "a-"+r.namespace)
		if said, ok := r.helmTest(t); !ok || !strings.HasPrefix(said, "ok: 3 definitions in 3 files;") {
			t.Errorf("helm test: %t, kooperd says:\n%s", ok, said)
		}

		r.upgradeConfig(t, "kontrollers: {}")
		leader.AwaitLog(t, "the changed config does not run; the one before goes on")
		leader.Kill()
		next := leader
		eventually(t, "another process leads", func() bool { next = r.leader(t); return next != leader })
		next.AwaitLog(t, "again", "name", "a-"+r.namespace)

		r.upgradeConfig(t, "controllers: {}")
		next.AwaitLog(t, "config changed")
		wantSame(t, "the generation of the Deployment", r.deployment(t).Generation, before.Generation)
		r.stop(t)
		cluster.CheckGrants(t, r.user(), granted, paged, r.ofDaemons(t, mark))
	})
}

// TestSwitchReload goes from rollouts to reloads and back while pods run. Afterwards nothing is
// left but what kooperd itself has made.
func TestSwitchReload(t *testing.T) {
	forOneHelm(t, func(t *testing.T, version string) {
		r := install(t, version, "--values", examples(t)["one-namespace"], "--set", "shutdownDelaySeconds=0,replicas=1")
		for _, set := range []string{"reload=true", "reload=false"} {
			before := r.daemons(t)
			r.change(t, r.command("upgrade", "--set", set), before)
			works["one-namespace"](t, r)
			if !slices.Contains(r.configMaps(t), followedConfigMap) {
				t.Errorf("%s: Helm has deleted the ConfigMap that pods follow", set)
			}
		}
		helm(t, version, r.command("upgrade")...)
		wantSame(t, "what is left of the ConfigMaps", r.configMaps(t), r.mounted(t))
		_, err := shared.Client().RbacV1().Roles(r.namespace).Get(t.Context(), objectName+"."+r.namespace+".config", metav1.GetOptions{})
		if !apierrors.IsNotFound(err) {
			t.Errorf("the Role for the config that is followed: %v, want that there is none", err)
		}
		if _, err := shared.Client().CoreV1().ConfigMaps(r.namespace).Get(t.Context(), acceptedConfigMap, metav1.GetOptions{}); err != nil {
			t.Errorf("the last accepted config: %v", err)
		}
	})
}

// filesHash is what kooperd prints as the hash of the files of a release that reloads, as
// docs/operations.md finds them: in the ConfigMap that is followed, and in the mounted one with the
// lease.
func (r *release) filesHash(t *testing.T) string {
	t.Helper()
	names := []string{followedConfigMap}
	for _, volume := range r.deployment(t).Spec.Template.Spec.Volumes {
		if volume.Name == "leader-election" {
			names = append(names, volume.ConfigMap.Name)
		}
	}
	dir, args := t.TempDir(), []string{"print", "-o", "hash"}
	for _, name := range names {
		found, err := shared.Client().CoreV1().ConfigMaps(r.namespace).Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for key, text := range found.Data {
			file := filepath.Join(dir, key)
			writeFile(t, file, text)
			args = append(args, file)
		}
	}
	if len(args) < 5 {
		t.Fatalf("the ConfigMaps %q have not both a file", names)
	}
	return strings.TrimSpace(kooperd(t, args...))
}

// upgradeConfig upgrades to the config of the release with another file.
func (r *release) upgradeConfig(t *testing.T, file string) {
	t.Helper()
	values := filepath.Join(t.TempDir(), "values.yaml")
	writeFile(t, values, "configFiles:\n  more.yaml: '"+file+"'\n")
	helm(t, r.helm, r.command("upgrade", "--values", values)...)
}

func (r *release) deployment(t *testing.T) *appsv1.Deployment {
	t.Helper()
	deployment, err := shared.Client().AppsV1().Deployments(r.namespace).Get(t.Context(), objectName, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return deployment
}
