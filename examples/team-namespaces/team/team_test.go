package team_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kooperd.dev/kooperd/examples/team-namespaces/team"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/handlers/handlerstest"
)

func namespace(labels map[string]string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "checkout", Labels: labels}}
}

func TestPlugin(t *testing.T) {
	handlerstest.Check(t, team.Plugin, handlerstest.Options{
		Configs: map[string]string{"defaults": `{}`, "full": `{"pods":5,"groups":"company:"}`},
		Objects: []handlers.Object{
			handlerstest.Object(t, namespace(map[string]string{team.Label: "payments"})),
			handlerstest.Object(t, namespace(nil)),
		},
	})
}

func TestNamespaceOfATeam(t *testing.T) {
	composer := handlerstest.NewComposer(t, team.Plugin, `{"pods":5,"groups":"company:"}`)
	composition := handlerstest.Compose(t, composer, namespace(map[string]string{team.Label: "payments"}))
	if n := len(composition.Children); n != 4 {
		t.Errorf("there are %d children, want 4", n)
	}
	quota := handlerstest.Child[*corev1.ResourceQuota](t, composition, "ResourceQuota/team")
	if pods := quota.Spec.Hard.Pods().Value(); pods != 5 || quota.Namespace != "checkout" {
		t.Errorf("the quota of namespace %s allows %d pods, want 5 in checkout", quota.Namespace, pods)
	}
	binding := handlerstest.Child[*rbacv1.RoleBinding](t, composition, "RoleBinding/team")
	want := []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: "company:payments"}}
	if diff := cmp.Diff(want, binding.Subjects); diff != "" {
		t.Errorf("subjects of the binding (-want +got):\n%s", diff)
	}
}

func TestNamespaceWithoutATeam(t *testing.T) {
	composer := handlerstest.NewComposer(t, team.Plugin, `{}`)
	if composition := handlerstest.Compose(t, composer, namespace(nil)); len(composition.Children) > 0 {
		t.Errorf("it has children: %v", composition.Children)
	}
}
