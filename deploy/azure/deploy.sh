#!/bin/sh
# Deploys tables, rule and role, then the content for Sentinel, into the resource group of the workspace.
# It shows what would change, and asks before it changes anything.
set -eu

if [ $# -lt 3 ]; then
    cat >&2 <<'USAGE'
Usage: deploy/azure/deploy.sh GROUP WORKSPACE PRINCIPAL [NAME=VALUE ...]

GROUP      resource group of the workspace
WORKSPACE  Log Analytics workspace of Microsoft Sentinel
PRINCIPAL  object id of the identity that the relay's consumers sign in as; '' to assign the role yourself
NAME=VALUE further parameters of azuredeploy.json, such as createLiveTable=false

YES=1 deploys without a question. CONTENT=0 leaves out rules, queries, parsers and workbook.
In another cloud, run `az cloud set --name AzureUSGovernment` or `AzureChinaCloud` first, and sign in again.
USAGE
    exit 2
fi
group=$1 workspace=$2 principal=$3
shift 3
here=$(dirname "$0")
cloud=$(az cloud show --query name --output tsv)

tables() {
    az deployment group "$@" --resource-group "$group" --template-file "$here/azuredeploy.json" \
        --parameters workspaceName="$workspace" principalId="$principal" $further
}
content() {
    [ "${CONTENT:-1}" = 0 ] || az deployment group "$@" --resource-group "$group" \
        --template-file "$here/content/content.json" --parameters workspaceName="$workspace"
}

further=$*
tables what-if
content what-if
if [ "${YES:-}" != 1 ]; then
    printf 'Deploy these changes into %s (%s)? [y/N] ' "$group" "$cloud"
    read -r answer
    case $answer in
        [yY]*) ;;
        *) echo "Nothing was deployed." >&2; exit 1 ;;
    esac
fi
tables create --name jira-audit-relay --output none
echo "Lines for relay.toml:"
az deployment group show --resource-group "$group" --name jira-audit-relay --query properties.outputs.toml.value --output tsv
case $cloud in
    AzureUSGovernment) echo 'cloud = "usgov"' ;;
    AzureChinaCloud) echo 'cloud = "china"' ;;
esac
content create --name jira-audit-relay-content --output none || {
    echo "The tables, the rule and the role are deployed, and the content is not. Azure may not know a new table yet:" >&2
    echo "run the command again in 15 minutes, or correct what the message above names." >&2
    exit 1
}
