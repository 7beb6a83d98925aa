"""The shell steps of the workflows. What comes from a pull request reaches them as environment variables only."""

from infc.emit.ci.options import CiOptions

INSTALL = 'python -m pip install "$INFC_REQUIREMENT"'
CHECK = 'infc check "$INFC_SPECS" --format github'
LOCK = 'infc lock --check "$INFC_SPECS"'

PLAN = """\
code=0
infc plan "$INFC_SPECS" --base "$BASE" --format json --out plan.json --detailed-exitcode || code=$?
echo "code=$code" >> "$GITHUB_OUTPUT"
if [ -s plan.json ]; then echo "saved=yes" >> "$GITHUB_OUTPUT"; fi
"""

REPORT = """\
infc report plan.json --marker "$INFC_MARKER" --format github --also sarif=infc.sarif --also markdown=comment.md
cat comment.md >> "$GITHUB_STEP_SUMMARY"
"""

VERDICT = """\
case "$CODE" in
  0 | 2) echo "every deployment has a plan" ;;
  *) echo "infc plan exited with $CODE"; exit "${CODE:-1}" ;;
esac
"""

COMMENT = 'infc ci comment --from-run --provider github --marker "$INFC_MARKER"'

SSH_BUILDER = """\
umask 077
mkdir -p ~/.ssh
if [ -n "$BUILDER_SSH_KEY" ]; then printf '%s\\n' "$BUILDER_SSH_KEY" > ~/.ssh/id_ed25519; fi
if [ -n "$BUILDER_KNOWN_HOSTS" ]; then printf '%s\\n' "$BUILDER_KNOWN_HOSTS" >> ~/.ssh/known_hosts; fi
if [ -n "$BUILDER_KUBECONFIG" ]; then
  mkdir -p ~/.kube
  printf '%s\\n' "$BUILDER_KUBECONFIG" > ~/.kube/config
fi
"""

RENDERED = """\
git config user.name infc
git config user.email infc@users.noreply.invalid
rm -rf rendered
git worktree prune
git worktree add --detach --no-checkout rendered
cd rendered
if git fetch --depth 1 origin "refs/heads/$RENDERED_BRANCH"; then
  git checkout --detach FETCH_HEAD
else
  git checkout --orphan infc-rendered
fi
git rm -rfq --ignore-unmatch .
for folder in ../dist/*/kubernetes; do
  if [ -d "$folder" ]; then
    name=$(basename "$(dirname "$folder")")
    mkdir -p "$name"
    cp -R "$folder/." "$name/"
  fi
done
git add -A
if git diff --cached --quiet; then
  echo "the manifests on $RENDERED_BRANCH are current"
else
  git commit -q -m "Rendered from $SOURCE_COMMIT"
  git push origin "HEAD:refs/heads/$RENDERED_BRANCH"
fi
"""

GITLAB_PLAN = """\
base="${CI_MERGE_REQUEST_TARGET_BRANCH_SHA:-$CI_MERGE_REQUEST_DIFF_BASE_SHA}"
code=0
infc plan "$INFC_SPECS" --base "$base" --format json --out plan.json --detailed-exitcode || code=$?
if [ -s plan.json ]; then
  infc report plan.json --marker "$INFC_MARKER" --format codequality --out gl-code-quality-report.json \\
    --also markdown=comment.md
  infc ci comment plan.json --provider gitlab --marker "$INFC_MARKER" > /dev/null || echo "no comment was written"
fi
case "$code" in
  0 | 2) infc lock --check "$INFC_SPECS" ;;
  *) echo "infc plan exited with $code"; exit "$code" ;;
esac
"""

GITLAB_CHECK = 'infc check "$INFC_SPECS"'


def compile_script(options: CiOptions) -> str:
    """Compile exactly what the lock says, and keep the page about it."""
    builder = ' --builder "$INFC_BUILDER"' if options.runner == "remote" else ""
    return f'infc compile "$INFC_SPECS" --locked -o dist{builder} --format html > compile.html\n'
