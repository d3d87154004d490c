// Tables, rule, role and content of the Jira Audit Relay in one deployment, for repositories of Bicep.
// The two JSON templates are the source: this file only passes their parameters on.

@description('Log Analytics workspace of Microsoft Sentinel, in this resource group.')
param workspaceName string

@description('Object id of the identity that the relay\'s consumers sign in as. Empty: the role is assigned by other means.')
param principalId string

@description('Region of the workspace.')
param location string = resourceGroup().location

@description('False where Jira_Audit_v2_CL exists already.')
param createLiveTable bool = true

@description('Type of EventId in Jira_Audit_v2_CL: long or int.')
param liveEventIdType string = 'long'

@description('Type of the ObjectItem columns in Jira_Audit_v2_CL: string or dynamic.')
param liveObjectItemType string = 'string'

@description('True: the rule also takes the streams of the destination kind sentinel-asim.')
param asim bool = false

@description('False: the analytic rules are there and do not run.')
param enableRules bool = true

@description('Names of groups of Jira\'s administrators that contain neither admin, owner nor superuser.')
param administratorGroups array = []

module relay 'azuredeploy.json' = {
  name: 'jira-audit-relay'
  params: {
    workspaceName: workspaceName
    principalId: principalId
    location: location
    createLiveTable: createLiveTable
    liveEventIdType: liveEventIdType
    liveObjectItemType: liveObjectItemType
    asim: asim
  }
}

module content 'content/content.json' = {
  name: 'jira-audit-relay-content'
  dependsOn: [
    relay
  ]
  params: {
    workspaceName: workspaceName
    location: location
    enableRules: enableRules
    administratorGroups: administratorGroups
  }
}

output toml array = relay.outputs.toml
