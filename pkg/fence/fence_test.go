package fence

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
)

func TestNew(t *testing.T) {
	o := Options{
		Lease:          types.NamespacedName{Namespace: "locks", Name: "controllers"},
		ServiceAccount: types.NamespacedName{Namespace: "kooper-system", Name: "kooperd"},
	}
	fence, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	if fence.Policy.Name != "kooperd-fence.kooper-system.kooperd" || fence.Binding.Name != fence.Policy.Name || fence.Binding.Spec.PolicyName != fence.Policy.Name {
		t.Errorf("names are %q, %q and %q", fence.Policy.Name, fence.Binding.Name, fence.Binding.Spec.PolicyName)
	}
	if got, want := fence.Policy.Spec.MatchConditions[0].Expression, `request.userInfo.username == "system:serviceaccount:kooper-system:kooperd"`; got != want {
		t.Errorf("the policy matches when %s, want %s", got, want)
	}
	param := fence.Binding.Spec.ParamRef
	if param.Namespace != "locks" || param.Name != "controllers" {
		t.Errorf("the parameter is %s/%s, want locks/controllers", param.Namespace, param.Name)
	}
	again, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(fence, again); diff != "" {
		t.Errorf("fences of the same options differ:\n%s", diff)
	}
	fence.Policy.Labels["changed"] = "true"
	if fence.Binding.Labels["changed"] != "" {
		t.Error("policy and binding share their labels")
	}
}

func TestNewRefuses(t *testing.T) {
	good := types.NamespacedName{Namespace: "ns", Name: "name"}
	cases := map[string]struct {
		lease, account types.NamespacedName
		want           []string
	}{
		"everything missing":       {want: []string{`namespace "" of the lease`, `namespace "" of the service account`}},
		"no name of the lease":     {lease: types.NamespacedName{Namespace: "ns"}, account: good, want: []string{`name "" of the lease`}},
		"no name of the account":   {lease: good, account: types.NamespacedName{Namespace: "ns"}, want: []string{`name "" of the service account`}},
		"quote in a name":          {lease: types.NamespacedName{Namespace: "ns", Name: `a" || "" == "`}, account: good, want: []string{"of the lease"}},
		"dot in a namespace":       {lease: good, account: types.NamespacedName{Namespace: "a.b", Name: "name"}, want: []string{`namespace "a.b" of the service account`}},
		"line break in an account": {lease: good, account: types.NamespacedName{Namespace: "ns", Name: "a\nb"}, want: []string{"of the service account"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := New(Options{Lease: tc.lease, ServiceAccount: tc.account})
			if err == nil || !strings.HasPrefix(err.Error(), "making a fence: ") {
				t.Fatalf("error is %v, want one of making a fence", err)
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error is %q, want %q in it", err, want)
				}
			}
		})
	}
}

// TestFenceNames gives fences of accounts whose joined names are alike, or too long, names of their
// own.
func TestFenceNames(t *testing.T) {
	long := strings.Repeat("a", 200) + "." + strings.Repeat("b", 50)
	accounts := []types.NamespacedName{
		{Namespace: "a", Name: "b.c"}, {Namespace: "a-b", Name: "c"}, {Namespace: "a", Name: "b-c"},
		{Namespace: "a", Name: long}, {Namespace: "a", Name: long + "b"}, {Namespace: strings.Repeat("n", 63), Name: long},
		{Namespace: strings.Repeat("n", 20), Name: strings.Repeat("a", 201) + ".c." + strings.Repeat("d", 40)}, // cut behind a dot
	}
	seen := map[string]types.NamespacedName{}
	for _, account := range accounts {
		fence, err := New(Options{Lease: types.NamespacedName{Namespace: "ns", Name: "n"}, ServiceAccount: account})
		if err != nil {
			t.Fatal(err)
		}
		name := fence.Policy.Name
		if problems := validation.IsDNS1123Subdomain(name); len(problems) > 0 {
			t.Errorf("name %q of the fence of %s: %v", name, account, problems)
		}
		if other, ok := seen[name]; ok {
			t.Errorf("%s and %s have the same fence %q", account, other, name)
		}
		seen[name] = account
	}
}
